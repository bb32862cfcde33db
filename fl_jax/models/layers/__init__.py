"""CPU-only fast paths of three `flax.linen` layers: `Conv`, `GroupNorm` and `max_pool`.

They have Flax's parameters and compute the same values, and are rewritten so that XLA:CPU vectorises them.
In a program that is lowered for another platform, `Conv` and overlapping `max_pool` are Flax's.

- `GroupNorm`: see `fl_jax.models.layers.group_norm`.
- `Conv`: narrow, grouped, depthwise and 1x1 convolutions, see `fl_jax.models.layers.convolution`.
- `max_pool`: non-overlapping windows are a reshape; overlapping ones, on CPU, a maximum over shifted images.
  The gradient of XLA's form is a scalar scatter: 101 ms for 4 images of 128 x 128 x 64, windows of 3 and
  stride 2; this one takes 27 ms.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

from fl_jax.models.layers.convolution import convolution
from fl_jax.models.layers.group_norm import GroupNorm

__all__ = ["Conv", "GroupNorm", "max_pool"]


class Conv(flax.linen.Conv):
    """`flax.linen.Conv`, computed by `convolution`."""

    conv_general_dilated: Any = convolution


def max_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
) -> jax.Array:
    """`flax.linen.max_pool`, faster on CPU.

    If a window's maximum occurs more than once, its gradient is split among the occurrences; Flax's goes to
    the first.

    Args:
        inputs: float[B, H, W, C].
        window_shape: rows and columns of a window.
        strides: rows and columns between windows; None for 1.
        padding: `'SAME'`, `'VALID'`, or pairs.

    Returns:
        float[B, H', W', C].
    """
    steps = (1,) * len(window_shape) if strides is None else tuple(strides)
    if inputs.ndim != 4 or len(window_shape) != 2:
        return flax.linen.max_pool(inputs, tuple(window_shape), strides, padding)
    if steps == tuple(window_shape) and padding == "VALID":
        rows, columns = (n // w for n, w in zip(inputs.shape[1:3], window_shape, strict=True))
        whole = inputs[:, : rows * window_shape[0], : columns * window_shape[1]]
        split = whole.reshape(
            len(inputs), rows, window_shape[0], columns, window_shape[1], inputs.shape[-1]
        )
        return split.max((2, 4))
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(inputs.shape[1:3], window_shape, steps, padding)
    pairs: Any = [tuple(pair) for pair in padding]

    def of_shifted(inputs: jax.Array) -> jax.Array:
        pooled = jnp.pad(inputs, ((0, 0), *pairs, (0, 0)), constant_values=-jnp.inf)
        for axis, (width, step) in enumerate(zip(window_shape, steps, strict=True), 1):
            count = (pooled.shape[axis] - width) // step
            shifted = [
                jax.lax.slice_in_dim(pooled, i, i + count * step + 1, step, axis)
                for i in range(width)
            ]
            pooled = reduce(jnp.maximum, shifted)
        return pooled

    def as_flax(inputs: jax.Array) -> jax.Array:
        return flax.linen.max_pool(inputs, tuple(window_shape), steps, pairs)

    return jax.lax.platform_dependent(inputs, cpu=of_shifted, default=as_flax)
