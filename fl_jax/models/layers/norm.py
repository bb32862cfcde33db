"""Batch, group or layer normalisation, or none with scaled weight standardisation.

batch:  y = scale (x - m) / sqrt(v + eps) + bias;  m, v of the batch in training, running averages otherwise
group:  m, v over the pixels and channels of a group;  layer: one group
none:   y = conv(x, gain g (w - mean w) / sqrt(fan_in var w)) + bias,  g = sqrt(2 / (1 - 1 / pi))

g gives the convolution unit output variance if its input is the ReLU of a standard normal variable.

Ioffe and Szegedy, "Batch Normalization", ICML 2015; Wu and He, "Group Normalization", ECCV 2018; Ba et al.,
"Layer Normalization", 2016; Brock et al., "Characterizing signal propagation to close the performance gap in
unnormalized ResNets", ICLR 2021 (`none`).
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.models.layers.convolution import convolution
from fl_jax.models.layers.group_norm import GroupNorm

KINDS = ("batch", "group", "layer", "none")
"""Values of the argument `norm` of every model."""
MOST_LAYERS = 1000
"""More, in a model that is written as text, are a typing error: building them takes hours."""
GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""The inverse standard deviation of the ReLU of a standard normal variable."""
_GROUPS = 32
MOMENTUM = 0.9
"""Decay of the running statistics per step; PyTorch's `momentum` is 1 - 0.9."""


class Norm(nn.Module):
    """A normalisation layer.

    Parameters belong to a submodule with Flax's name, such as `BatchNorm_0`, which `fed_bn` matches. Running
    statistics are `mean` and `var`, float32[C], in Flax's collection `batch_stats`.

    Attributes:
        kind: one of `KINDS`, or `'channels'`: over the channels of each pixel, as in ConvNeXt.
        epsilon: added to the variance.
        dtype: of the output; sums and parameters are float32.
    """

    kind: str
    epsilon: float = 1e-5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Normalises float[B, H, W, C].

        Args:
            x: activations.
            mask: float32[B], 1 for real examples and 0 for padding: normalise with the moments of the real
                examples, and update the running averages. None normalises with the running averages.

        Returns:
            Like `x`, of type `dtype` for batch and channels.
        """
        if self.kind == "batch":
            options: Any = {"epsilon": self.epsilon, "dtype": self.dtype, "name": "BatchNorm_0"}
            if mask is None:
                return nn.BatchNorm(use_running_average=True, **options)(x)
            return _OfBatch(**options)(x, mask)
        if self.kind == "channels":
            return nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype)(x)
        if self.kind == "none":
            return x
        groups = math.gcd(_GROUPS, x.shape[-1]) if self.kind == "group" else 1
        return GroupNorm(groups, epsilon=self.epsilon)(x)


class _OfBatch(nn.Module):
    """`flax.linen.BatchNorm` in training, with the same parameters and statistics.

    Sums over the pixels of each example come first, then the mask. Flax masks every number, which makes
    XLA:CPU sum them one at a time and takes 5 to 7 times as long, gradient included.
    """

    epsilon: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        channels, places = x.shape[-1], tuple(range(1, x.ndim - 1))
        # An empty batch has no moments: count its padding as real.
        real = ((mask > 0) | (mask.sum() == 0))[:, None]
        count = real.sum() * (x[0].size // channels)
        wide = x.astype(jnp.float32)
        mean, square = (
            jnp.where(real, each.sum(places), 0).sum(0) / count for each in (wide, wide * wide)
        )
        moments = {"mean": mean, "var": jnp.maximum(square - mean * mean, 0)}
        for name, initial in (("mean", jnp.zeros), ("var", jnp.ones)):
            average = self.variable("batch_stats", name, initial, (channels,), jnp.float32)
            if not self.is_initializing():
                average.value = MOMENTUM * average.value + (1 - MOMENTUM) * moments[name]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        factor = scale * jax.lax.rsqrt(moments["var"] + self.epsilon)
        return (wide * factor + (bias - mean * factor)).astype(self.dtype)


class StandardisedConv(nn.Module):
    """A convolution with scaled weight standardisation, see the module.

    Attributes:
        features: channels out.
        size: K of a K x K kernel.
        stride: in both directions.
        groups: groups of channels.
        dtype: of the convolution; parameters are float32.
        gain_init: initialiser of `gain`; zeros make a residual branch start at 0.
    """

    features: int
    size: int
    stride: int = 1
    groups: int = 1
    dtype: Any = jnp.float32
    gain_init: Any = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float[B, H, W, c] to float[B, H / stride, W / stride, features]."""
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        gain = self.param("gain", self.gain_init, (self.features,))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = convolution(
            x.astype(self.dtype),
            (gain * standardise(kernel)).astype(self.dtype),
            (self.stride, self.stride),
            ((self.size // 2, self.size // 2),) * 2,
            dimension_numbers=jax.lax.conv_dimension_numbers(
                x.shape, shape, ("NHWC", "HWIO", "NHWC")
            ),
            feature_group_count=self.groups,
        )
        return y + bias.astype(self.dtype)


def standardise(kernel: jax.Array, epsilon: float = 1e-4) -> jax.Array:
    """Computes `GAIN (w - mean) / sqrt(fan_in var)` for each output channel.

    Args:
        kernel: float32[K, K', c, C].
        epsilon: lower bound of `fan_in var`, for constant kernels.

    Returns:
        Like `kernel`.
    """
    fan_in = math.prod(kernel.shape[:-1])
    centred = kernel - kernel.mean((0, 1, 2))
    square = fan_in * (centred * centred).mean((0, 1, 2))
    return GAIN * centred * jax.lax.rsqrt(jnp.maximum(square, epsilon))


def conv(
    x: jax.Array,
    width: int,
    size: int,
    stride: int = 1,
    *,
    kind: str,
    name: str,
    groups: int = 1,
    dtype: Any = jnp.float32,
    closes_branch: bool = False,
) -> jax.Array:
    """Applies the convolution that belongs to a kind of normalisation, in a compact method.

    Args:
        x: float[B, H, W, c].
        width: channels out.
        size: K, odd.
        stride: in both directions.
        kind: one of `KINDS`; `'none'` standardises the weights and adds a bias.
        name: of the layer.
        groups: groups of channels.
        dtype: of the convolution.
        closes_branch: whether it ends a residual branch; with `'none'` its gain then starts at 0.

    Returns:
        float[B, H / stride, W / stride, width].
    """
    if kind == "none":
        gain = nn.initializers.zeros if closes_branch else nn.initializers.ones
        return StandardisedConv(width, size, stride, groups, dtype, gain, name=name)(x)
    return nn.Conv(
        width,
        (size, size),
        stride,
        padding=size // 2,
        feature_group_count=groups,
        use_bias=False,
        dtype=dtype,
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
        conv_general_dilated=convolution,
        name=name,
    )(x)


def checked(norm: str, dtype: str, labels: int) -> tuple[str, Any, int]:
    """Checks arguments that all models share; returns norm, dtype and labels.

    Raises:
        ValueError: an unknown norm or dtype, or fewer than 1 label.
    """
    if norm not in KINDS:
        raise ValueError(f"norm={norm!r}: must be one of {', '.join(KINDS)}")
    return norm, *checked_outputs(dtype, labels)


def checked_outputs(dtype: str, labels: int) -> tuple[Any, int]:
    """`checked` for a model with fixed normalisation."""
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"dtype={dtype!r}: must be 'float32' or 'bfloat16'")
    if labels < 1:
        raise ValueError(f"labels={labels}: must be at least 1")
    return jnp.dtype(dtype), labels
