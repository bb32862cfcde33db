"""Normalisation as a choice: batch, group or layer normalisation, or none with standardised weights.

batch:  y = scale (x - m) / sqrt(v + eps) + bias,  m and v of the batch in training, running ones otherwise
group:  m and v over the places and the channels of a group;  layer: the same with one group
none:   y = conv(x, gain g (w - mean w) / sqrt(fan_in var w)) + bias,  g = sqrt(2 / (1 - 1 / pi))

With g the output of a convolution has unit variance where its input is the ReLU of a normal variable.

Ioffe and Szegedy, "Batch Normalization", ICML 2015; Wu and He, "Group Normalization", ECCV 2018; Ba et al.,
"Layer Normalization", 2016; Brock et al., "Characterizing signal propagation to close the performance gap in
unnormalized ResNets", ICLR 2021, whose scaled weight standardisation `none` is.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.models.layers.convolution import convolution
from fl_jax.models.layers.group_norm import GroupNorm

KINDS = ("batch", "group", "layer", "none")
"""What `norm` may be in a model's factory."""
GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""One over the standard deviation of the ReLU of a standard normal variable."""
_GROUPS = 32
MOMENTUM = 0.9
"""The share of the running statistics that a step keeps; PyTorch calls the rest, 0.1, the momentum."""


class Norm(nn.Module):
    """A normalisation layer of the kind that is asked for.

    The layer itself is a child with Flax's name, such as `BatchNorm_0`, by which `fed_bn` finds it. Running
    statistics are in the collection `batch_stats`, as Flax has it: `mean` and `var`, float32[C].

    Attributes:
        kind: one of `KINDS`, or `'channels'`: each place by itself, as ConvNeXt does.
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
            x: what to normalise.
            mask: float32[B], in training: 1 for a real example, and 0 for padding, which has no say in a
                batch's moments; these then update the running ones. None uses the running ones.
        """
        if self.kind == "batch":
            given: Any = {"epsilon": self.epsilon, "dtype": self.dtype, "name": "BatchNorm_0"}
            if mask is None:
                return nn.BatchNorm(use_running_average=True, **given)(x)
            return _OfBatch(**given)(x, mask)
        if self.kind == "channels":
            return nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype)(x)
        if self.kind == "none":
            return x
        groups = math.gcd(_GROUPS, x.shape[-1]) if self.kind == "group" else 1
        return GroupNorm(groups, epsilon=self.epsilon)(x)


class _OfBatch(nn.Module):
    """`flax.linen.BatchNorm` in training, its parameters and statistics under the same names.

    Sums are over the places of each example, and the mask comes after, on numbers that are few. Flax masks
    each number, which XLA:CPU then adds up one at a time: that takes 5 to 7 times as long, gradient included.
    """

    epsilon: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        channels, places = x.shape[-1], tuple(range(1, x.ndim - 1))
        # Where nothing is real all of it is, as nothing has no moments.
        real = ((mask > 0) | (mask.sum() == 0))[:, None]
        count = real.sum() * (x[0].size // channels)
        wide = x.astype(jnp.float32)
        mean, square = (
            jnp.where(real, each.sum(places), 0).sum(0) / count for each in (wide, wide * wide)
        )
        found = {"mean": mean, "var": jnp.maximum(square - mean * mean, 0)}
        for name, initial in (("mean", jnp.zeros), ("var", jnp.ones)):
            kept = self.variable("batch_stats", name, initial, (channels,), jnp.float32)
            if not self.is_initializing():
                kept.value = MOMENTUM * kept.value + (1 - MOMENTUM) * found[name]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        factor = scale * jax.lax.rsqrt(found["var"] + self.epsilon)
        return (wide * factor + (bias - mean * factor)).astype(self.dtype)


class StandardisedConv(nn.Module):
    """A convolution whose kernels have mean 0 and variance 1 / fan_in, times a gain; see the module.

    Attributes:
        features: channels out.
        size: K, of a kernel of K x K.
        stride: of both directions.
        groups: of channels.
        dtype: of the products; parameters are float32.
        gain_init: of `gain`; zeros begin a residual branch as nothing.
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
    """Returns `GAIN (w - mean) / sqrt(fan_in var)`, mean and variance of each channel out.

    Args:
        kernel: float32[K, K', c, C].
        epsilon: the least `fan_in var`, for kernels that are all alike.
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
    """The convolution that goes with a kind of normalisation, inside a compact method.

    Args:
        x: float[B, H, W, c].
        width: channels out.
        size: K, odd.
        stride: of both directions.
        kind: one of `KINDS`; without normalisation the weights are standardised, and there is a bias.
        name: of the layer.
        groups: of channels.
        dtype: of the products.
        closes_branch: whether it ends a residual branch, which without normalisation begins as nothing.

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
    """Returns what every model's factory takes, the data type as such.

    Raises:
        ValueError: for an unknown kind or type, or no label.
    """
    if norm not in KINDS:
        raise ValueError(f"norm={norm!r}: must be one of {', '.join(KINDS)}")
    return norm, *checked_outputs(dtype, labels)


def checked_outputs(dtype: str, labels: int) -> tuple[Any, int]:
    """As `checked`, for a model whose normalisation is no choice."""
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"dtype={dtype!r}: must be 'float32' or 'bfloat16'")
    if labels < 1:
        raise ValueError(f"labels={labels}: must be at least 1")
    return jnp.dtype(dtype), labels
