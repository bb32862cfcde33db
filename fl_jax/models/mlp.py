"""A perceptron: dense layers with ReLU between, for what is small and has no geometry to use."""

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
    """Makes the perceptron.

    Args:
        outputs: L, at least 1.
        widths: of the hidden layers; none is a linear model. Flax names the layers `Dense_0`, `Dense_1`, ...

    Returns:
        The model.

    Raises:
        ValueError: when a size is below 1.
    """
    if outputs < 1 or min(widths, default=1) < 1:
        raise ValueError(f"outputs={outputs}, widths={widths}: must be at least 1")
    return MLP(outputs, tuple(widths))
