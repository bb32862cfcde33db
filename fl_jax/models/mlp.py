"""A multi-layer perceptron: dense layers with ReLU, for inputs without spatial structure."""

from collections.abc import Sequence

import flax.linen as nn
import jax


class MLP(nn.Module):
    """See `mlp`."""

    outputs: int
    widths: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float32[B, ...] to logits float32[B, L]."""
        x = x.reshape(len(x), -1)
        for width in self.widths:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.outputs)(x)


def mlp(outputs: int, widths: Sequence[int] = (64,)) -> MLP:
    """Builds an MLP.

    Args:
        outputs: L, at least 1.
        widths: hidden units per layer; empty for a linear model. Flax names the layers `Dense_0`, ...

    Raises:
        ValueError: a size is below 1.
    """
    if outputs < 1 or min(widths, default=1) < 1:
        raise ValueError(f"outputs={outputs}, widths={widths}: must be at least 1")
    return MLP(outputs, tuple(widths))
