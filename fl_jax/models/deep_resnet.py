"""ResNet-18 to -101, with optional grouped convolutions (ResNeXt) and channel gates (SE).

block(x) = relu(shortcut(x) + gate(norm(conv(... relu(norm(conv(x)))))))
logits   = dense(global mean of four stages(max_pool(relu(norm(conv7x7(images))))))

Layers follow torchvision's names, `layer1.0.conv1` as `layer1_0/conv1`, so that `fl_jax.models.pretrained`
can load its weights. A bottleneck strides in its 3x3 convolution.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core.types import LABELS
from fl_jax.models.layers import max_pool
from fl_jax.models.layers.norm import Norm, checked, conv

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks per stage."""
_EXPANSION = 4


class Gate(nn.Module):
    """Squeeze and excitation: scales each channel by a gate in (0, 1) computed from all channel means."""

    reduction: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float[B, H, W, C] to the same shape."""
        width = x.shape[-1]
        means = x.mean((1, 2), keepdims=True, dtype=jnp.float32)
        y = nn.Conv(width // self.reduction, (1, 1), dtype=self.dtype, name="fc1")(means)
        y = nn.Conv(width, (1, 1), dtype=self.dtype, name="fc2")(nn.relu(y))
        return x * nn.sigmoid(y)


class Block(nn.Module):
    """A residual block.

    Attributes:
        width: channels of the stage, before a bottleneck expands them fourfold.
        stride: 1, or 2 to halve the resolution.
        bottleneck: convolutions of 1x1, 3x3, 1x1; otherwise two of 3x3.
        groups: groups of a bottleneck's 3x3 convolution.
        group_width: channels per group for every 64 of `width`.
        reduction: the gate's bottleneck is the channels divided by it; 0 for no gate.
        norm: one of `fl_jax.models.layers.norm.KINDS`.
        dtype: of matrix products and convolutions.
    """

    width: int
    stride: int
    bottleneck: bool
    groups: int
    group_width: int
    reduction: int
    norm: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps float[B, H, W, c] to float[B, H / stride, W / stride, C]."""
        if self.bottleneck:
            inner = self.width * self.group_width // 64 * self.groups
            outer = _EXPANSION * self.width
            plan = [(inner, 1, 1, 1), (inner, 3, self.stride, self.groups), (outer, 1, 1, 1)]
        else:
            outer = self.width
            plan = [(outer, 3, self.stride, 1), (outer, 3, 1, 1)]
        y = x
        for number, (width, size, stride, groups) in enumerate(plan, 1):
            last = number == len(plan)
            y = conv(
                y,
                width,
                size,
                stride,
                kind=self.norm,
                groups=groups,
                dtype=self.dtype,
                closes_branch=last,
                name=f"conv{number}",
            )
            y = Norm(self.norm, dtype=self.dtype, name=f"bn{number}")(y, mask)
            y = y if last else nn.relu(y)
        if self.reduction:
            y = Gate(self.reduction, self.dtype, name="se")(y)
        if x.shape[-1] != outer or self.stride != 1:
            x = conv(
                x, outer, 1, self.stride, kind=self.norm, dtype=self.dtype, name="downsample_0"
            )
            x = Norm(self.norm, dtype=self.dtype, name="downsample_1")(x, mask)
        return nn.relu(x + y)


class DeepResNet(nn.Module):
    """See `deep_resnet`; `remat` recomputes each block in the backward pass to save memory."""

    blocks: Sequence[int]
    bottleneck: bool
    groups: int
    group_width: int
    reduction: int
    labels: int
    norm: str
    dtype: Any
    remat: bool = False
    stem = "conv1"
    head = "fc"

    @nn.compact
    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, features: bool = False
    ) -> jax.Array:
        """Computes logits.

        Args:
            images: float32[B, H, W, C].
            mask: float32[B], 1 for real examples; see `Norm`. None for inference.
            features: return the input of the last layer.

        Returns:
            Logits float32[B, L], or features float32[B, F].
        """
        x = conv(images, 64, 7, 2, kind=self.norm, dtype=self.dtype, name=self.stem)
        x = nn.relu(Norm(self.norm, dtype=self.dtype, name="bn1")(x, mask))
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        block_of = nn.remat(Block) if self.remat else Block
        for stage, blocks in enumerate(self.blocks):
            for block in range(blocks):
                x = block_of(
                    width=64 * 2**stage,
                    stride=2 if stage and not block else 1,
                    bottleneck=self.bottleneck,
                    groups=self.groups,
                    group_width=self.group_width,
                    reduction=self.reduction,
                    norm=self.norm,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}_{block}",
                )(x, mask)
        x = x.mean((1, 2), dtype=jnp.float32)
        return x if features else nn.Dense(self.labels, name=self.head)(x)


def deep_resnet(
    depth: int = 18,
    *,
    labels: int = len(LABELS),
    norm: str = "batch",
    dtype: str = "float32",
) -> DeepResNet:
    """Builds ResNet-18, -34, -50 or -101.

    Args:
        depth: a key of `DEPTHS`.
        labels: L.
        norm: one of `fl_jax.models.layers.norm.KINDS`; the paper uses batch.
        dtype: of matrix products and convolutions, `'float32'` or `'bfloat16'`. Parameters, normalisation
            statistics and logits stay float32.

    Raises:
        ValueError: an argument is out of range.
    """
    bottleneck = depth >= 50
    return make(depth, bottleneck=bottleneck, labels=labels, norm=norm, dtype=dtype)


def make(
    depth: int,
    *,
    bottleneck: bool = True,
    groups: int = 1,
    group_width: int = 64,
    reduction: int = 0,
    labels: int,
    norm: str,
    dtype: str,
) -> DeepResNet:
    """Builds a residual network; for the arguments see `Block` and `deep_resnet`."""
    if depth not in DEPTHS:
        raise ValueError(f"depth={depth}: must be one of {', '.join(map(str, DEPTHS))}")
    kind, products, outputs = checked(norm, dtype, labels)
    return DeepResNet(
        DEPTHS[depth], bottleneck, groups, group_width, reduction, outputs, kind, products
    )
