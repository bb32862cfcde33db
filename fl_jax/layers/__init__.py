"""`flax.linen` with layers of the same names, parameters and numbers that XLA:CPU runs in less time.

    from fl_jax import layers as nn      instead of      from flax import linen as nn

- `GroupNorm`: see `fl_jax.layers.group_norm`.
- `Conv`: narrow ones, see `fl_jax.layers.convolution`.
- `max_pool`: windows side by side become an axis of their own. The gradient of the general form, a scatter of
  the places that were chosen, runs on one core and one number at a time.

Whatever else is asked for is flax's.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen
import jax

from fl_jax.layers.convolution import convolution
from fl_jax.layers.group_norm import GroupNorm

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
    """As `flax.linen.max_pool`; quicker for windows that lie side by side and need no padding.

    Where a window's largest number stands in it more than once, the gradient is divided among the places,
    where flax's goes to the first.

    Args:
        inputs: float[B, H, W, C].
        window_shape: rows and columns of a window.
        strides: from a window to the next; None for 1, as in flax.
        padding: `'VALID'`, or what flax takes.

    Returns:
        float[B, H', W', C].
    """
    beside = strides is not None and tuple(strides) == tuple(window_shape) and padding == "VALID"
    if not beside or inputs.ndim != 4 or len(window_shape) != 2:
        return flax.linen.max_pool(inputs, tuple(window_shape), strides, padding)
    rows, columns = (n // w for n, w in zip(inputs.shape[1:3], window_shape, strict=True))
    whole = inputs[:, : rows * window_shape[0], : columns * window_shape[1]]
    split = whole.reshape(
        len(inputs), rows, window_shape[0], columns, window_shape[1], inputs.shape[-1]
    )
    return split.max((2, 4))


def __getattr__(name: str) -> Any:
    return getattr(flax.linen, name)
