"""ConvNeXt-T: depthwise 7x7 convolutions and pointwise MLPs with layer normalisation.

x <- x + s dense(gelu(dense(norm(depthwise7x7(x)))))

Layer normalisation over the channels of each pixel is part of the architecture; it needs no batch statistics.
Stochastic depth is omitted. Layers follow torchvision's names, `features.1.0.block.0` as
`features_1_0/block_0`, so that `fl_jax.models.pretrained` can load its weights.

Liu et al., "A ConvNet for the 2020s", CVPR 2022.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core.types import LABELS
from fl_jax.models.layers.convolution import convolution
from fl_jax.models.layers.norm import Norm, checked_outputs

_INIT = nn.initializers.truncated_normal(0.02)
_norm = partial(Norm, "channels", 1e-6)


class Block(nn.Module):
    """A residual block; layer scale initialises its branch at 1e-6."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float[B, H, W, C] to the same shape."""
        width = x.shape[-1]
        scale = self.param("layer_scale", nn.initializers.constant(1e-6), (width,))
        dense = partial(nn.Dense, dtype=self.dtype, kernel_init=_INIT)
        y = nn.Conv(
            width,
            (7, 7),
            padding=3,
            feature_group_count=width,
            dtype=self.dtype,
            kernel_init=_INIT,
            conv_general_dilated=convolution,
            name="block_0",
        )(x)
        y = _norm(self.dtype, name="block_2")(y)
        y = nn.gelu(dense(4 * width, name="block_3")(y), approximate=False)
        return x + scale.astype(self.dtype) * dense(width, name="block_5")(y)


class ConvNeXt(nn.Module):
    """See `convnext`; `remat` recomputes each block in the backward pass to save memory."""

    depths: Sequence[int]
    widths: Sequence[int]
    labels: int
    dtype: Any
    remat: bool = False
    stem = "features_0_0"
    head = "classifier_2"

    @nn.compact
    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, features: bool = False
    ) -> jax.Array:
        """Computes logits.

        Args:
            images: float32[B, H, W, C], at least 32 x 32 pixels.
            mask: ignored, since no layer mixes examples.
            features: return the input of the last layer.

        Returns:
            Logits float32[B, L], or features float32[B, F].

        Raises:
            ValueError: an image is smaller than 32 x 32.
        """
        del mask
        if min(images.shape[1:3]) < 32:
            raise ValueError(f"images of {images.shape[1:3]} pixels: must be at least 32 x 32")
        conv = partial(nn.Conv, padding="VALID", dtype=self.dtype, kernel_init=_INIT)
        x = conv(self.widths[0], (4, 4), 4, name=self.stem)(images)
        x = _norm(self.dtype, name="features_0_1")(x)
        block_of = nn.remat(Block) if self.remat else Block
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage:
                x = _norm(self.dtype, name=f"features_{2 * stage}_0")(x)
                x = conv(width, (2, 2), 2, name=f"features_{2 * stage}_1")(x)
            for block in range(depth):
                x = block_of(self.dtype, name=f"features_{2 * stage + 1}_{block}")(x)
        x = _norm(jnp.float32, name="classifier_0")(x.mean((1, 2), dtype=jnp.float32))
        return x if features else nn.Dense(self.labels, kernel_init=_INIT, name=self.head)(x)


def convnext(*, labels: int = len(LABELS), dtype: str = "float32") -> ConvNeXt:
    """Builds ConvNeXt-T.

    Args:
        labels: L.
        dtype: see `deep_resnet`.

    Raises:
        ValueError: an argument is out of range.
    """
    products, outputs = checked_outputs(dtype, labels)
    return ConvNeXt((3, 3, 9, 3), (96, 192, 384, 768), outputs, products)
