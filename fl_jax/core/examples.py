"""Reads and checks the training examples of a site."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Examples = tuple[Any, Any]
"""A site's (x, y), each a pytree of arrays [n, ...]."""


def count(examples: Examples) -> int:
    """The number of examples."""
    return len(jax.tree.leaves(examples)[0])


def checked(name: str, data: Any, label_range: tuple[float, float] | None) -> Examples:
    """Returns a site's (x, y) as NumPy arrays, or raises ValueError with the site's name and the remedy."""
    if isinstance(data, Mapping):
        if set(data) != {"x", "y"}:
            raise ValueError(f"site {name!r}: has the keys {sorted(data)}; must be x and y")
        data = (data["x"], data["y"])
    if not isinstance(data, tuple) or len(data) != 2:
        raise ValueError(f"site {name!r}: is a {type(data).__name__}; must be a pair (x, y)")
    x, y = (jax.tree.map(lambda leaf: _array(name, leaf), part) for part in data)
    lengths = {len(leaf) if leaf.ndim else 0 for leaf in jax.tree.leaves((x, y))}
    if lengths <= {0}:
        raise ValueError(f"site {name!r}: has no examples; leave it out")
    if len(lengths) > 1:
        raise ValueError(f"site {name!r}: x and y have {sorted(lengths)} examples; must be as many")
    if label_range is not None:
        for leaf in jax.tree.leaves(y):
            _check_labels(name, leaf, *label_range)
    return x, y


def _array(name: str, leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    if array.dtype == bool or array.dtype == np.float64:
        array = array.astype(np.float32)
    if not jnp.issubdtype(array.dtype, np.number):
        raise ValueError(f"site {name!r}: has an array of {array.dtype}; must be numbers")
    if jnp.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
        raise ValueError(f"site {name!r}: has NaN or infinity in x or y; remove these examples")
    return array


def _check_labels(name: str, labels: np.ndarray, low: float, high: float) -> None:
    classes = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    high = math.inf if classes else high
    least, most = labels.min(), labels.max()
    if least < low or most > high:
        raise ValueError(
            f"site {name!r}: labels lie in {least:g}..{most:g}, outside {low:g}..{high:g}; set "
            "label_range=None for a regression"
        )


def signature(examples: Examples) -> str:
    """Structure, shapes and dtypes without the number of examples."""
    return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape[1:])}", examples))


def columns(examples: Any, keys: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The arrays x [N, ...] and y [N, ...] of a dataset, which is read to its end."""
    if hasattr(examples, "as_numpy_iterator"):  # tf.data
        examples = examples.as_numpy_iterator()
    if isinstance(examples, tuple) and len(examples) == 2:
        return np.asarray(examples[0]), np.asarray(examples[1])
    try:
        rows = [
            tuple(row[k] for k in keys) if isinstance(row, Mapping) else row for row in examples
        ]
    except KeyError as error:
        raise ValueError(f"keys={keys}: the examples have no feature {error}") from error
    if not rows:
        raise ValueError("examples: the dataset is empty")
    x, y = zip(*rows, strict=True)
    return np.stack(x), np.stack(y)
