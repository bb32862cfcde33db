"""`flax.linen` with layers of the same names, parameters and numbers that XLA:CPU runs in less time.

    from fl_jax import layers as nn      instead of      from flax import linen as nn

- `GroupNorm`: see `fl_jax.models.layers.group_norm`.
- `Conv`: narrow and grouped ones and those of one pixel, see `fl_jax.models.layers.convolution`.
- `max_pool`: windows side by side become an axis of their own; on CPU, others are the largest of shifted
  images. The gradient of the general form, a scatter of the places that were chosen, runs on one core and one
  number at a time: 101 ms for 4 images of 128 x 128 x 64 in windows of 3 and steps of 2, where this takes 27.

Whatever else is asked for is flax's.
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
    """`flax.linen.Conv`, but for how narrow convolutions are computed."""

    conv_general_dilated: Any = convolution


def max_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
) -> jax.Array:
    """As `flax.linen.max_pool`, in less time.

    Where a window's largest number stands in it more than once, the gradient is divided among the places,
    where flax's goes to the first.

    Args:
        inputs: float[B, H, W, C].
        window_shape: rows and columns of a window.
        strides: from a window to the next; None for 1, as in flax.
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
    if jax.default_backend() != "cpu":
        return flax.linen.max_pool(inputs, tuple(window_shape), steps, padding)
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(inputs.shape[1:3], window_shape, steps, padding)
    around = ((0, 0), *(tuple(pair) for pair in padding), (0, 0))
    found = jnp.pad(inputs, around, constant_values=-jnp.inf)
    for axis, (width, step) in enumerate(zip(window_shape, steps, strict=True), 1):
        count = (found.shape[axis] - width) // step
        shifted = [
            jax.lax.slice_in_dim(found, i, i + count * step + 1, step, axis) for i in range(width)
        ]
        found = reduce(jnp.maximum, shifted)
    return found


def __getattr__(name: str) -> Any:
    return getattr(flax.linen, name)
