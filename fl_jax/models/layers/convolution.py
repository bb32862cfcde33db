"""Convolutions and their gradients in forms that XLA:CPU (jax 0.10.2) runs fast.

Narrow convolutions compute r columns at once, to fill vectors of 16 numbers:

    y[h, r v + q] = sum_ij x[h + i, r v + q + j] w[i, j] = sum_ij x[h + i, r v + j] w'[i, j][q],   0 <= q < r

w' stacks r copies of w, each shifted by one more column: r - 1 more columns, r times the channels, stride r.
The gradients use the same form. XLA:CPU hands convolutions of up to 16 channels to Eigen and wider ones to
YNNPACK, which is slow for few input channels.

Grouped convolutions are XLA's, except for the gradient of the weights: a matrix product per kernel position
and group, dw[i, j] = sum_hv x[s h + i, s v + j] dy[h, v]. XLA's takes 100 to 600 times as long in ResNeXt-50.
1x1 convolutions are matrix products; the gradient of their weights takes 0.2 to 0.8 of XLA's time.

Depthwise convolutions are sums of shifted images, and so are their gradients; that of the weights runs row
by row, because XLA:CPU reduces over all pixels one number at a time. XLA's forms of ConvNeXt's 7x7 layers
take 12 to 25 times as long, and 20 to 55 times for the gradient of the weights.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp

Padding = tuple[tuple[int, int], ...]
"""Rows before and after, columns before and after."""
_FORM = ("NHWC", "HWIO", "NHWC")
_VECTOR = 16
"""Channels in or out; above it XLA's convolution is faster."""
_PLACES = 64
"""Kernel positions that are unrolled at most, to bound compile time."""


def convolution(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: Any,
    **options: Any,
) -> jax.Array:
    """A drop-in for `jax.lax.conv_general_dilated` in `flax.linen.Conv(conv_general_dilated=convolution)`.

    In a program that is lowered for CPU, a fast form applies to undilated float32 NHWC convolutions that are
    narrow (stride 1, at most 16 channels in and out), grouped (several channels per group), depthwise
    (stride 1) or 1x1. All others are XLA's.

    Args:
        lhs: images, float32[B, H, W, C].
        rhs: kernel, float32[K, K', C / groups, C'].
        window_strides: rows and columns.
        padding: `'SAME'`, `'VALID'`, or pairs.
        **options: of `jax.lax.conv_general_dilated`.

    Returns:
        float32[B, H', W', C'].
    """

    def as_xla(lhs: jax.Array, rhs: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)

    on_cpu = None
    if lhs.ndim == 4 and _plain(options) and lhs.dtype == rhs.dtype == jnp.float32:
        groups = options.get("feature_group_count", 1)
        on_cpu = _form_for(lhs.shape, rhs.shape, tuple(window_strides), padding, groups)
    if on_cpu is None:
        return as_xla(lhs, rhs)
    return jax.lax.platform_dependent(lhs, rhs, cpu=on_cpu, default=as_xla)


def _form_for(
    images: tuple[int, ...], kernel: tuple[int, ...], strides: Any, padding: Any, groups: int
) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    """The fast form for these shapes; None if there is none."""
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(images[1:3], kernel[:2], strides, padding)
    vertical, horizontal = (tuple(pair) for pair in padding)
    if groups > 1 and kernel[2] > 1:
        return lambda x, w: _grouped(x, w, strides, (vertical, horizontal), groups)
    small = kernel[0] * kernel[1] <= _PLACES
    if groups > 1 and groups == kernel[3] and small and strides == (1, 1):
        return lambda x, w: _each(x, w, (vertical, horizontal))
    if groups == 1 and kernel[:2] == (1, 1) and vertical == horizontal == (0, 0):
        rows, columns = strides
        return lambda x, w: jnp.einsum("bhvc,cd->bhvd", x[:, ::rows, ::columns], w[0, 0])
    narrow = groups == 1 and kernel[1] > 1 and max(kernel[2:]) <= _VECTOR
    if narrow and strides == (1, 1):
        return lambda x, w: _narrow(x, w, (vertical, horizontal))
    return None


def _plain(options: dict[str, Any]) -> bool:
    """Whether the options are channels last, groups, and defaults otherwise."""
    numbers = options.get("dimension_numbers")
    if not isinstance(numbers, jax.lax.ConvDimensionNumbers):
        return False
    last = jax.lax.conv_dimension_numbers((1,) * 4, (1,) * 4, _FORM)
    once = (None, 1, (1, 1))
    counts = ("batch_group_count", "lhs_dilation", "rhs_dilation")
    others = ("precision", "preferred_element_type")
    return (
        numbers == last
        and all(options.get(name) in once for name in counts)
        and all(options.get(name) is None for name in others)
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _grouped(
    x: jax.Array, w: jax.Array, strides: tuple[int, int], padding: Padding, groups: int
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=_FORM, feature_group_count=groups
    )


def _grouped_forward(
    x: jax.Array, w: jax.Array, strides: tuple[int, int], padding: Padding, groups: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _grouped(x, w, strides, padding, groups), (x, w)


def _grouped_backward(
    strides: tuple[int, int],
    padding: Padding,
    groups: int,
    kept: tuple[jax.Array, jax.Array],
    dy: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, w = kept

    def of(x: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, w, strides, padding, dimension_numbers=_FORM, feature_group_count=groups
        )

    (dx,) = jax.vjp(of, x)[1](dy)
    padded = _padded(x, padding)
    ends = [(n - 1) * stride + 1 for n, stride in zip(dy.shape[1:3], strides, strict=True)]
    apart = dy.reshape(-1, groups, dy.shape[-1] // groups)

    def at(i: int, j: int) -> jax.Array:
        seen = padded[:, i : i + ends[0] : strides[0], j : j + ends[1] : strides[1]]
        product = jnp.einsum("ngc,ngd->cgd", seen.reshape(-1, groups, w.shape[2]), apart)
        return product.reshape(w.shape[2:])

    dw = [[at(i, j) for j in range(w.shape[1])] for i in range(w.shape[0])]
    return dx, jnp.stack([jnp.stack(row) for row in dw])


_grouped.defvjp(_grouped_forward, _grouped_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _each(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
    padded = _padded(x, padding)
    rows, columns = (n - k + 1 for n, k in zip(padded.shape[1:3], w.shape[:2], strict=True))
    terms = [
        padded[:, i : i + rows, j : j + columns] * w[i, j, 0]
        for i in range(w.shape[0])
        for j in range(w.shape[1])
    ]
    return reduce(operator.add, terms)


def _each_forward(
    x: jax.Array, w: jax.Array, padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _each(x, w, padding), (x, w)


def _each_backward(
    padding: Padding, kept: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, w = kept
    height, width = w.shape[:2]
    padded = _padded(x, padding)
    batch, rows, columns, channels = dy.shape
    parts = _columns(columns, batch, _VECTOR)  # of a row, summed together with the batch
    size = columns // parts

    def add(totals: list[jax.Array], row: jax.Array) -> tuple[list[jax.Array], None]:
        seen = jax.lax.dynamic_slice_in_dim(padded, row, height, 1)
        out = jax.lax.dynamic_slice_in_dim(dy, row, 1, 1)
        pairs = [(b, part * size) for b in range(batch) for part in range(parts)]

        def of(j: int) -> jax.Array:
            terms = [seen[b, :, v + j : v + j + size] * out[b, :, v : v + size] for b, v in pairs]
            return reduce(operator.add, terms)

        return [total + of(j) for j, total in enumerate(totals)], None

    nothing = [jnp.zeros((height, size, channels), dy.dtype)] * width
    totals, _ = jax.lax.scan(add, nothing, jnp.arange(rows))
    dw = jnp.stack([total.sum(1) for total in totals], 1)
    return _each(dy, w[::-1, ::-1], _around(w, padding)), dw[:, :, None]


_each.defvjp(_each_forward, _each_backward)


def _padded(x: jax.Array, padding: Padding) -> jax.Array:
    """Pads with zeros; negative padding crops."""
    around = ((0, 0, 0), *((a, b, 0) for a, b in padding), (0, 0, 0))
    return jax.lax.pad(x, jnp.zeros((), x.dtype), around)


def _around(w: jax.Array, padding: Padding) -> Padding:
    """The padding of the convolution that computes the gradient of the images."""
    return tuple((k - 1 - a, k - 1 - b) for k, (a, b) in zip(w.shape[:2], padding, strict=True))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _narrow(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
    return _several(x, w, padding)


def _forward(
    x: jax.Array, w: jax.Array, padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _several(x, w, padding), (x, w)


def _backward(
    padding: Padding, kept: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, w = kept
    size = w.shape[:2]
    dx = _several(dy, w[::-1, ::-1].swapaxes(2, 3), _around(w, padding))
    batch, rows, columns, width = dy.shape
    r = _columns(columns, width, 2 * _VECTOR)
    stacked = dy.reshape(batch, rows, columns // r, r * width)
    # The sum runs over the batch, so the batch takes the place of the channels.
    shifts = _conv(x.transpose(3, 1, 2, 0), stacked.transpose(1, 2, 0, 3), padding, dilation=(1, r))
    shifts = shifts.transpose(1, 2, 0, 3).reshape(size[0], size[1] + r - 1, x.shape[-1], r, width)
    return dx, sum((shifts[:, q : q + size[1], :, q] for q in range(r)), jnp.zeros_like(w))


_narrow.defvjp(_forward, _backward)


def _several(x: jax.Array, w: jax.Array, padding: Padding) -> jax.Array:
    """The convolution, r columns at once."""
    channels, width = w.shape[2:]
    columns = x.shape[2] + sum(padding[1]) - w.shape[1] + 1
    r = _columns(columns, width, 2 * _VECTOR if channels >= _VECTOR else _VECTOR)
    shifted = [jnp.pad(w, ((0, 0), (q, r - 1 - q), (0, 0), (0, 0))) for q in range(r)]
    y = _conv(x, jnp.concatenate(shifted, axis=-1), padding, strides=(1, r))
    return y.reshape(*y.shape[:2], columns, width)


def _columns(columns: int, width: int, limit: int) -> int:
    """The largest power of two that divides `columns` and keeps the stacked channels within `limit`."""
    r = 1
    while columns % (2 * r) == 0 and 2 * r * width <= limit:
        r *= 2
    return r


def _conv(
    x: jax.Array,
    w: jax.Array,
    padding: Padding,
    strides: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, w, strides, padding, rhs_dilation=dilation, dimension_numbers=_FORM
    )
