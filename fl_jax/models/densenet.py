"""DenseNet: every layer reads the concatenated outputs of all earlier layers of its block.

x <- concat(x, conv3x3(relu(norm(conv1x1(relu(norm(x)))))))       in a block; transitions halve the resolution

Layers follow torchvision's names without `features.`, so that `fl_jax.models.pretrained` can load its
weights.

Huang et al., "Densely Connected Convolutional Networks", CVPR 2017.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core.types import LABELS
from fl_jax.models.layers import max_pool
from fl_jax.models.layers.norm import Norm, checked, conv

DEPTHS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32)}
"""Layers per block."""
_GROWTH = 32
_BOTTLENECK = 4


class DenseLayer(nn.Module):
    """Appends `_GROWTH` channels to its input."""

    norm: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps float[B, H, W, c] to float[B, H, W, c + 32]."""
        y = x
        for number, (width, size) in enumerate([(_BOTTLENECK * _GROWTH, 1), (_GROWTH, 3)], 1):
            y = nn.relu(Norm(self.norm, dtype=self.dtype, name=f"norm{number}")(y, mask))
            y = conv(y, width, size, kind=self.norm, dtype=self.dtype, name=f"conv{number}")
        return jnp.concatenate([x, y], -1)


class DenseBlock(nn.Module):
    """A stack of dense layers."""

    layers: int
    norm: str
    dtype: Any
    remat: bool

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps float[B, H, W, c] to float[B, H, W, c + 32 layers]."""
        layer_of = nn.remat(DenseLayer) if self.remat else DenseLayer
        for layer in range(self.layers):
            x = layer_of(self.norm, self.dtype, name=f"denselayer{layer + 1}")(x, mask)
        return x


class Transition(nn.Module):
    """Halves channels and resolution."""

    norm: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps float[B, H, W, c] to float[B, H / 2, W / 2, c / 2]."""
        y = nn.relu(Norm(self.norm, dtype=self.dtype, name="norm")(x, mask))
        y = conv(y, x.shape[-1] // 2, 1, kind=self.norm, dtype=self.dtype, name="conv")
        return nn.avg_pool(y, (2, 2), (2, 2))


class DenseNet(nn.Module):
    """See `densenet`; `remat` recomputes each layer in the backward pass to save memory."""

    layers: Sequence[int]
    labels: int
    norm: str
    dtype: Any
    remat: bool = False
    stem = "conv0"
    head = "classifier"

    @nn.compact
    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, features: bool = False
    ) -> jax.Array:
        """Computes logits.

        Args:
            images: float32[B, H, W, C], at least 32 x 32 pixels.
            mask: float32[B], 1 for real examples; see `Norm`. None for inference.
            features: return the input of the last layer.

        Returns:
            Logits float32[B, L], or features float32[B, F].

        Raises:
            ValueError: an image is smaller than 32 x 32.
        """
        if min(images.shape[1:3]) < 32:
            raise ValueError(f"images of {images.shape[1:3]} pixels: must be at least 32 x 32")
        x = conv(images, 2 * _GROWTH, 7, 2, kind=self.norm, dtype=self.dtype, name=self.stem)
        x = nn.relu(Norm(self.norm, dtype=self.dtype, name="norm0")(x, mask))
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for number, layers in enumerate(self.layers, 1):
            x = DenseBlock(layers, self.norm, self.dtype, self.remat, name=f"denseblock{number}")(
                x, mask
            )
            if number < len(self.layers):
                x = Transition(self.norm, self.dtype, name=f"transition{number}")(x, mask)
        x = nn.relu(Norm(self.norm, dtype=self.dtype, name="norm5")(x, mask))
        x = x.mean((1, 2), dtype=jnp.float32)
        return x if features else nn.Dense(self.labels, name=self.head)(x)


def densenet(
    depth: int = 121,
    *,
    labels: int = len(LABELS),
    norm: str = "batch",
    dtype: str = "float32",
) -> DenseNet:
    """Builds DenseNet-121 or -169.

    Args:
        depth: a key of `DEPTHS`.
        labels: L.
        norm: see `deep_resnet`.
        dtype: see `deep_resnet`.

    Raises:
        ValueError: an argument is out of range.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth={depth}: must be one of {', '.join(map(str, DEPTHS))}")
    kind, products, outputs = checked(norm, dtype, labels)
    return DenseNet(DEPTHS[depth], outputs, kind, products)
