"""A small ResNet over local intensity histograms.

h_k(patch) = mean over the patch's pixels of max(0, 1 - |(K - 1) window - k|),   k = 0 .. K - 1, each window
logits     = dense(global max of the stages(stem((h - MEAN) / SD)))

The histograms have no parameters, so no gradient flows to the pixels. They are standardised by constants, as
the pixels of photographs usually are: bins that hold blood are filled in few patches, and the stem would see
them last. The default, group normalisation, needs no batch statistics that sites would have to average.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Wu and He, "Group Normalization",
ECCV 2018; Wang et al., "Learnable Histogram: Statistical Context Features for Deep Neural Networks", ECCV
2016 (with learned bins).
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.models.layers.norm import MOST_LAYERS, Norm, StandardisedConv, checked

KNOTS = (0.0, 0.25, 0.5, 0.75, 1.0)
MEAN, SD = (0.5, 0.15, 0.2, 0.02, 0.15), (0.5, 0.2, 0.2, 0.03, 0.3)
"""Of a bin at these knots of its window, over patches of 4 x 4 pixels of 2 mm of the synthetic cohort,
rounded; means over the three default windows. Other numbers of bins interpolate."""


def standardised(counts: jax.Array, *, bins: int) -> jax.Array:
    """Standardises `histograms`' result by `MEAN` and `SD`: float32[..., K * C], same shape."""
    knots = np.linspace(0, 1, bins)
    mean, sd = (np.interp(knots, KNOTS, values).astype(np.float32) for values in (MEAN, SD))
    windows = counts.shape[-1] // bins
    return (counts - mean.repeat(windows)) / sd.repeat(windows)


def histograms(images: jax.Array, *, patch: int, bins: int) -> jax.Array:
    """Computes soft histograms of non-overlapping patches, with linear-spline bins that sum to 1 per window.

    Args:
        images: float32[B, H, W, C] in [0, 1].
        patch: side of a patch in pixels; divides H and W.
        bins: K, at least 2; knots are evenly spaced over [0, 1].

    Returns:
        float32[B, H / patch, W / patch, K * C] in [0, 1].

    Raises:
        ValueError: `patch` does not divide the image.
    """
    batch, height, width, windows = images.shape
    if height % patch or width % patch:
        raise ValueError(
            f"patch={patch}: does not divide images of {height} x {width} pixels; "
            "prepare images of another size or choose another patch"
        )
    # Windows first: with three elements innermost, XLA:CPU takes 1.5 times as long.
    planes = jnp.moveaxis(images, -1, 1) * (bins - 1)
    planes = planes.reshape(batch, windows, height // patch, patch, width // patch, patch)
    planes_of_bins = [jnp.maximum(1 - jnp.abs(planes - k), 0).mean((3, 5)) for k in range(bins)]
    return jnp.moveaxis(jnp.concatenate(planes_of_bins, 1), 1, -1)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

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
        """Computes logits.

        Args:
            images: float32[B, H, W, C] in [0, 1].
            mask: float32[B], 1 for real examples; see `Norm`. None for inference.
            features: return the input of the last layer.

        Returns:
            Logits float32[B, L], or features float32[B, F].
        """
        # Blood occupies a density band between brain and bone. A convolution over pixels has to learn that
        # band and gets little gradient until it has; a histogram bin is such a band.
        x = histograms(images, patch=self.patch, bins=self.bins)
        x = standardised(x, bins=self.bins)
        x = nn.relu(_norm(_conv(x, self.stem, 3, 1, self.norm), self.norm, mask))
        stages = zip(self.widths, self.blocks, self.strides, strict=True)
        for width, blocks, stride in stages:
            for block in range(blocks):
                x = Block(width, stride if block == 0 else 1, self.norm)(x, mask)
        # A bleed covers few of the cells: mean pooling would dilute it and delay learning.
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
    """Builds a ResNet that trains on a laptop's CPU; the default has 0.08 million parameters.

    Args:
        widths: channels per stage, multiples of 4.
        blocks: residual blocks per stage.
        strides: stride of each stage's first block.
        stem: channels of the first 3x3 convolution, a multiple of 4.
        patch: side of a histogram patch in pixels, at least 1. By default 128 x 128 pixels become 32 x 32
            histograms, and 16 x 16 cells after the stages.
        bins: bins per window, 2 to `MOST_LAYERS`.
        labels: L.
        norm: one of `fl_jax.models.layers.norm.KINDS`; `group` means 8 groups, or 4 if 8 does not fit.

    Raises:
        ValueError: the stages differ in number, a width is not a multiple of 4, `patch` or `bins` is too
            small, there are too many blocks, or `norm` is unknown.
    """
    if not len(widths) == len(blocks) == len(strides):
        raise ValueError(
            f"widths={widths}, blocks={blocks}, strides={strides}: must have one entry per stage"
        )
    if sum(blocks) > MOST_LAYERS:
        raise ValueError(f"blocks={blocks}: must be at most {MOST_LAYERS} together")
    if any(w < 4 or w % 4 for w in (*widths, stem)):
        raise ValueError(f"widths={widths}, stem={stem}: each must be a multiple of 4")
    if patch < 1 or not 2 <= bins <= MOST_LAYERS:
        raise ValueError(f"patch={patch}, bins={bins}: must be at least 1, and 2 to {MOST_LAYERS}")
    kind, _, outputs = checked(norm, "float32", labels)
    return ResNet(tuple(widths), tuple(blocks), tuple(strides), stem, patch, bins, outputs, kind)


def _conv(
    x: jax.Array, width: int, size: int, stride: int, norm: str, *, last: bool = False
) -> jax.Array:
    if norm == "none":  # a zero gain makes the residual branch start at 0
        gain = nn.initializers.zeros if last else nn.initializers.ones
        return StandardisedConv(width, size, stride, gain_init=gain)(x)
    return nn.Conv(width, (size, size), stride, padding=size // 2, use_bias=False)(x)


def _norm(x: jax.Array, norm: str, mask: jax.Array | None) -> jax.Array:
    if norm == "group":
        return nn.GroupNorm(8 if x.shape[-1] % 8 == 0 else 4)(x)
    return Norm(norm)(x, mask)
