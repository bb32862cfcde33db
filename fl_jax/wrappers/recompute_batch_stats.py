"""Batch normalisation's statistics computed anew from the sites' data after training, pooled exactly.

of a layer's inputs x at site s:  n_s,  m_s = mean x,  q_s = sum (x - m_s)^2       over examples and places
two parts a and b together:       n = a + b,  m = m_a + (m_b - m_a) b / n,
                                  q = q_a + q_b + (m_b - m_a)^2 a b / n
all sites:                        mean = m,  var = q / n

Running statistics lag behind the parameters that they were gathered with; these are of the final ones. What a
layer reads depends on the statistics before it. Here a pass takes the moments of all layers at once, as
prediction computes them, with the statistics that the pass before it found. So after p passes the first p
layers of every path through the model are exact, and after as many passes as its longest path has layers all
are: the statistics are then those of the pooled data in the very network that predicts. Passes end earlier
where nothing moves any more, or not by more than a tolerance. The other way, one pass in which each layer
sees its own batch's moments (Wu and Johnson's precise statistics), is cheaper, and exact for the first layer
alone.

A pass costs a forward pass over all training examples, and each site sends 2 C + 1 numbers a layer. Examples
are those that prediction sees, without augmentation. Passes do not come closer step by step: in the demo's
ResNet, with five layers in a row, after four rounds of training, they moved statistics by up to 0.42, 0.40,
0.65, 0.23, 0.05 and 0; the six took the time of two or three rounds of half an epoch.

Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979;
Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, 2021.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from fl_jax.core.types import Array, Batch, Params
from fl_jax.wrappers.batch_stats import STATISTICS

_EPSILON = 1e-5
"""Added to a variance that something is measured by."""


class Moments(NamedTuple):
    """Of the inputs of one layer.

    Attributes:
        n: [], numbers a channel.
        mean: [C].
        square: [C], the sum of squared distances from the mean.
    """

    n: Array | float
    mean: Array
    square: Array


class Recomputed(NamedTuple):
    """What `recompute` finds.

    Attributes:
        variables: the model with its new statistics.
        shifts: of each pass, the most that a mean moved, in standard deviations, or a variance, as a share.
    """

    variables: Params
    shifts: tuple[float, ...]


def together(a: Moments, b: Moments) -> Moments:
    """The moments of two parts as one; a part of none changes nothing."""
    n = a.n + b.n
    share = b.n / (n + (n == 0))
    apart = b.mean - a.mean
    mean = a.mean + apart * share
    return Moments(n, mean, a.square + b.square + apart * apart * a.n * share)


def pooled(parts: Iterable[Moments]) -> Moments:
    """The moments of all parts as one, in float64 and in their order.

    Raises:
        ValueError: when there is no part.
    """
    wide = [Moments(*(np.asarray(x, np.float64) for x in part)) for part in parts]
    if not wide:
        raise ValueError("parts: give at least one")
    return reduce(together, wide)


def layer_moments(
    logits: Callable[[Params, Array], jax.Array],
) -> Callable[[Params, Array, Array], dict[tuple[str, ...], Moments]]:
    """Makes of a prediction what its batch normalisation layers read.

    Args:
        logits: `(variables, inputs) -> logits` of a Flax model, as `Task.logits`.

    Returns:
        `(variables, inputs, mask) -> {path of the layer: Moments}`, float32, over the examples whose mask is
        1; channels are a layer's last axis.
    """

    def found(variables: Params, inputs: Array, mask: Array) -> dict[tuple[str, ...], Moments]:
        layers: dict[tuple[str, ...], Moments] = {}

        def listen(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            if isinstance(context.module, nn.BatchNorm) and context.method_name == "__call__":
                path = context.module.path
                seen = _moments(args[0], mask)
                layers[path] = together(layers[path], seen) if path in layers else seen
            return call(*args, **kwargs)

        with nn.intercept_methods(listen):
            logits(variables, inputs)
        return layers

    return found


def _moments(x: jax.Array, mask: Array) -> Moments:
    """Distances are from the batch's own mean, so that a large mean costs no digits."""
    x = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    real = jnp.asarray(mask).reshape(-1, *(1,) * (x.ndim - 1)) > 0
    n = jnp.where(real, 1.0, 0.0).sum() * (x[..., 0].size // len(x))
    mean = jnp.where(real, x, 0).sum(axes) / jnp.maximum(n, 1)
    return Moments(n, mean, jnp.where(real, (x - mean) ** 2, 0).sum(axes))


def recompute(
    logits: Callable[[Params, Array], jax.Array],
    variables: Params,
    sites: Sequence[Callable[[], Iterable[Batch]]],
    *,
    tolerance: float = 0.0,
) -> Recomputed:
    """Gives a model the statistics of all sites' examples.

    Guarantees: parameters stay as they are. A site without examples changes nothing.

    Args:
        logits: see `layer_moments`.
        variables: `{'params': ..., 'batch_stats': ...}`; the first pass begins with these statistics.
        sites: each site's examples, to be gone through once a pass, the same every time.
        tolerance: passes end after the first that moves nothing by more, see `Recomputed`; 0: when nothing
            moves, which takes one pass more than the longest path through the model has layers.

    Returns:
        The model, and how far each pass moved it.

    Raises:
        ValueError: for a negative tolerance, no example at all, or moments that are not finite.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance={tolerance}: must be at least 0")
    measure, shifts = jax.jit(layer_moments(logits)), []
    layers = len(jax.tree.leaves(variables[STATISTICS])) // 2
    while not shifts or (shifts[-1] > tolerance and len(shifts) <= layers):
        found = _of_all(measure, variables, sites)
        statistics = {}
        for path, each in found.items():
            statistics[(*path, "mean")] = each.mean
            statistics[(*path, "var")] = each.square / each.n
        before: dict[Any, Any] = traverse_util.flatten_dict(variables[STATISTICS])
        if statistics.keys() != before.keys():
            odd = sorted("/".join(path) for path in statistics.keys() ^ before.keys())
            raise ValueError(f"variables: no layer reads or none has statistics {', '.join(odd)}")
        new = {k: statistics[k].astype(np.asarray(x).dtype) for k, x in before.items()}
        shifts.append(_shift(before, new))
        if not np.isfinite(shifts[-1]):
            raise ValueError("moments are not finite: neither are the parameters or the examples")
        nested = traverse_util.unflatten_dict({k: jnp.asarray(x) for k, x in new.items()})
        variables = {**variables, STATISTICS: nested}
    return Recomputed(variables, tuple(shifts))


def _of_all(
    measure: Callable[..., dict[tuple[str, ...], Moments]],
    variables: Params,
    sites: Sequence[Callable[[], Iterable[Batch]]],
) -> dict[tuple[str, ...], Moments]:
    """What each site sends, made one."""
    sent: list[dict[tuple[str, ...], Moments]] = []
    for batches in sites:
        own = [jax.device_get(measure(variables, b.inputs, b.mask)) for b in batches()]
        if own:
            sent.append({path: pooled(each[path] for each in own) for path in own[0]})
    whole = {path: pooled(each[path] for each in sent) for path in (sent[0] if sent else {})}
    if not whole or any(moments.n == 0 for moments in whole.values()):
        raise ValueError(f"sites: none of {len(sites)} has an example, or the model no such layer")
    return whole


def _shift(before: dict[Any, Any], after: dict[Any, Any]) -> float:
    most = 0.0
    for path, new in after.items():
        spread = after[(*path[:-1], "var")] + _EPSILON
        scale = spread if path[-1] == "var" else np.sqrt(spread)
        most = np.fmax(most, np.max(np.abs(new - np.asarray(before[path])) / scale))
        most = most if np.isfinite(new).all() else np.inf
    return float(most)
