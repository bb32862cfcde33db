"""Lossy codecs in front of an aggregator, and the bytes that a compressed message takes."""

from collections.abc import Callable
from typing import Any

import jax

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core.keys import stream
from fl_jax.core.types import Aggregator, Array


def compress(
    codec: Callable[[Array, jax.Array], Array],
    bits: Callable[[int], int],
    aggregate: Aggregator | None,
) -> Aggregator:
    """Makes an aggregator that receives every array of a message through a codec.

    Args:
        codec: `(array, key) -> array`, compression followed by decompression.
        bits: `(size) -> int`, the compressed size of an array of so many values.
        aggregate: receives the decompressed messages; None for `weighted_mean()`.
    """
    inner = inner_aggregator(aggregate, compresses=True)

    def add(state: Any, site: Array, message: Any, weight: Array, key: jax.Array) -> Any:
        leaves, structure = jax.tree.flatten(message)
        keys = jax.random.split(stream(key, "codec"), len(leaves))
        decoded = jax.tree.unflatten(structure, map(codec, leaves, keys))
        return inner.add(state, site, decoded, weight, key)

    return inner._replace(add=add, payload=compressed_bytes(bits))


def compressed_bytes(bits: Callable[[int], int]) -> Callable[[Any], int]:
    """Makes `(message) -> bytes` for arrays of `bits(size)` each, rounded up to whole bytes.

    >>> import numpy as np
    >>> compressed_bytes(lambda size: size)({"w": np.zeros(9), "b": np.zeros(8)})  # 1 bit per value
    3
    """
    return lambda message: sum(-(-bits(leaf.size) // 8) for leaf in jax.tree.leaves(message))


def inner_aggregator(aggregate: Aggregator | None, *, compresses: bool) -> Aggregator:
    """Returns the aggregator behind a wrapper: `weighted_mean()` for None.

    Args:
        aggregate: the user's argument.
        compresses: whether the wrapper compresses messages; then `aggregate` must not.
    """
    if aggregate is None:
        return weighted_mean()
    if not isinstance(aggregate, Aggregator):
        raise ValueError(f"aggregate={aggregate!r}: must be an aggregator, such as median()")
    if compresses and aggregate.payload is not None:
        raise ValueError(
            f"aggregate={aggregate!r}: compresses messages that are compressed already; use an aggregator "
            "of plain arrays, such as median()"
        )
    return aggregate
