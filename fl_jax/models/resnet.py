"""A small residual network over local histograms of density, with group normalisation or another.

h_k(patch) = mean over the patch's pixels of max(0, 1 - |(K - 1) window - k|),   k = 0 .. K - 1, each window
logits     = dense(max over places of the stages(stem(h)))

Histograms are fixed, so nothing goes back through the pixels. With group normalisation there are no batch
statistics to average wrongly.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Wu and He, "Group Normalization",
ECCV 2018; Wang et al., "Learnable Histogram: Statistical Context Features for Deep Neural Networks", ECCV
2016, whose bins are learned.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core.types import LABELS
from fl_jax.models.layers.norm import Norm, StandardisedConv, checked


def histograms(images: jax.Array, *, patch: int, bins: int) -> jax.Array:
    """How much of each patch lies at which grey value, as linear splines; the bins of a window sum to 1.

    Args:
        images: float32[B, H, W, C] in [0, 1].
        patch: pixels of a patch's side; H and W are multiples of it.
        bins: K knots from 0 to 1, at least 2.

    Returns:
        float32[B, H / patch, W / patch, K * C] in [0, 1].

    Raises:
        ValueError: when the patches do not fill the image.
    """
    batch, height, width, windows = images.shape
    if height % patch or width % patch:
        raise ValueError(
            f"patch={patch}: does not divide images of {height} x {width} pixels; "
            "prepare them in another size, or give the model another patch"
        )
    # Windows first: with three elements innermost, XLA:CPU takes half as long again for this.
    planes = jnp.moveaxis(images, -1, 1) * (bins - 1)
    planes = planes.reshape(batch, windows, height // patch, patch, width // patch, patch)
    found = [jnp.maximum(1 - jnp.abs(planes - k), 0).mean((3, 5)) for k in range(bins)]
    return jnp.moveaxis(jnp.concatenate(found, 1), 1, -1)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; `stride` halves the image when it is 2."""

    width: int
    stride: int
    norm: str = "group"

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps float32[B, H, W, c] to float32[B, H / stride, W / stride, width]."""
        y = nn.relu(_norm(_conv(x, self.width, 3, self.stride, self.norm), self.norm, mask))
        y = _norm(_conv(y, self.width, 3, 1, self.norm, last=True), self.norm, mask)
        if x.shape[-1] != self.width or self.stride != 1:
            x = _norm(_conv(x, self.width, 1, self.stride, self.norm), self.norm, mask)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """See `resnet`."""

    widths: Sequence[int]
    blocks: Sequence[int]
    strides: Sequence[int]
    stem: int
    patch: int
    bins: int
    labels: int
    norm: str = "group"
    head = "Dense_0"

    @nn.compact
    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, features: bool = False
    ) -> jax.Array:
        """Maps images float32[B, H, W, C] in [0, 1] to logits float32[B, L], or features float32[B, F].

        `mask` is as in `Norm`.
        """
        # Blood is a band of density between brain and bone. A convolution of the pixels has to find that
        # band first and sees little gradient until it has; a histogram's bin is the band.
        x = histograms(images, patch=self.patch, bins=self.bins)
        x = nn.relu(_norm(_conv(x, self.stem, 3, 1, self.norm), self.norm, mask))
        stages = zip(self.widths, self.blocks, self.strides, strict=True)
        for width, blocks, stride in stages:
            for block in range(blocks):
                x = Block(width, stride if block == 0 else 1, self.norm)(x, mask)
        # A bleed fills a few cells of many: a mean would dilute it, and learning would start late.
        x = x.max((1, 2))
        return x if features else nn.Dense(self.labels, name=self.head)(x)


def resnet(
    widths: Sequence[int] = (32, 64),
    blocks: Sequence[int] = (1, 1),
    strides: Sequence[int] = (2, 1),
    *,
    stem: int = 32,
    patch: int = 4,
    bins: int = 5,
    labels: int = len(LABELS),
    norm: str = "group",
) -> ResNet:
    """Makes a ResNet for small computers; the default has 0.08 million parameters.

    Args:
        widths: channels of each stage, multiples of 4.
        blocks: residual blocks of each stage.
        strides: of each stage's first block; 2 halves the image.
        stem: channels of the 3x3 convolution of the histograms, a multiple of 4.
        patch: pixels of the side of a histogram's patch, at least 1. The default brings 128 x 128 pixels to
            32 x 32, and the stages to 16 x 16.
        bins: of the histogram of each window, at least 2.
        labels: L.
        norm: one of `fl_jax.models.layers.norm.KINDS`; groups are 8, or 4 where 8 do not divide the channels.

    Raises:
        ValueError: when stages differ in number, a width is no multiple of 4, patch or bins are too small, or
            the normalisation is unknown.
    """
    if not len(widths) == len(blocks) == len(strides):
        raise ValueError(
            f"widths={widths}, blocks={blocks} and strides={strides} need one entry a stage each"
        )
    if any(w < 4 or w % 4 for w in (*widths, stem)):
        raise ValueError(f"widths={widths}, stem={stem}: each must be a multiple of 4")
    if patch < 1 or bins < 2:
        raise ValueError(f"patch={patch}, bins={bins}: give at least 1 pixel and 2 bins")
    kind, _, outputs = checked(norm, "float32", labels)
    return ResNet(tuple(widths), tuple(blocks), tuple(strides), stem, patch, bins, outputs, kind)


def _conv(
    x: jax.Array, width: int, size: int, stride: int, norm: str, *, last: bool = False
) -> jax.Array:
    if norm == "none":  # a residual branch begins as nothing
        gain = nn.initializers.zeros if last else nn.initializers.ones
        return StandardisedConv(width, size, stride, gain_init=gain)(x)
    return nn.Conv(width, (size, size), stride, padding=size // 2, use_bias=False)(x)


def _norm(x: jax.Array, norm: str, mask: jax.Array | None) -> jax.Array:
    if norm == "group":
        return nn.GroupNorm(8 if x.shape[-1] % 8 == 0 else 4)(x)
    return Norm(norm)(x, mask)
