"""A small residual network with group normalisation: no batch statistics, so nothing to average wrongly.

input = (windows, 4 (window_c - window_c+1)) - 1/2,   logits = dense(max over places of the last stage)

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Wu and He, "Group Normalization",
ECCV 2018.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.types import LABELS


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; `stride` halves the image when it is 2."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float32[B, H, W, c] to float32[B, H / stride, W / stride, width]."""
        y = nn.relu(_norm(_conv(x, self.width, 3, self.stride)))
        y = _norm(_conv(y, self.width, 3, 1))
        if x.shape[-1] != self.width or self.stride != 1:
            x = _norm(_conv(x, self.width, 1, self.stride))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """See `resnet`."""

    widths: Sequence[int]
    blocks: Sequence[int]
    strides: Sequence[int]
    stem: Sequence[int]
    labels: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps images float32[B, H, W, C] in [0, 1] to logits float32[B, L]."""
        # Blood is bright in a narrow window and not in a wide one, bone is bright in both. Their difference
        # says so at once; without it some 1,500 steps of 16 go by before a bleed is told from bone.
        contrast = 4 * (images[..., :-1] - images[..., 1:])
        x = jnp.concatenate([images, contrast], axis=-1) - 0.5
        for width in self.stem:
            x = nn.relu(_norm(_conv(x, width, 3, 2)))
        stages = zip(self.widths, self.blocks, self.strides, strict=True)
        for width, blocks, stride in stages:
            for block in range(blocks):
                x = Block(width, stride if block == 0 else 1)(x)
        # A bleed fills a few cells of many: a mean would dilute it, and learning would start late.
        return nn.Dense(self.labels)(x.max((1, 2)))


def resnet(
    widths: Sequence[int] = (16, 32, 64, 64),
    blocks: Sequence[int] = (1, 1, 1, 1),
    strides: Sequence[int] = (2, 2, 1, 1),
    *,
    stem: Sequence[int] = (16,),
    labels: int = len(LABELS),
) -> ResNet:
    """Makes a ResNet for small computers; the default has 0.15 million parameters.

    Args:
        widths: channels of each stage, multiples of 4.
        blocks: residual blocks of each stage.
        strides: of each stage's first block; 2 halves the image.
        stem: channels of the 3x3 convolutions of stride 2 before the first stage. The default brings
            80 x 80 pixels to 40 x 40, and the stages to 10 x 10.
        labels: L.

    Raises:
        ValueError: when stages differ in number or a width is no multiple of 4.
    """
    if not len(widths) == len(blocks) == len(strides):
        raise ValueError(
            f"widths={widths}, blocks={blocks} and strides={strides} need one entry a stage each"
        )
    if any(w < 4 or w % 4 for w in (*widths, *stem)):
        raise ValueError(f"widths={widths}, stem={stem}: each must be a multiple of 4")
    return ResNet(tuple(widths), tuple(blocks), tuple(strides), tuple(stem), labels)


def _conv(x: jax.Array, width: int, size: int, stride: int) -> jax.Array:
    return nn.Conv(width, (size, size), stride, padding=size // 2, use_bias=False)(x)


def _norm(x: jax.Array) -> jax.Array:
    return nn.GroupNorm(8 if x.shape[-1] % 8 == 0 else 4)(x)
