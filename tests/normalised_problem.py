"""A small network with batch normalisation, for whatever carries its running statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.models.layers.norm import Norm
from fl_jax.tasks.multi_label import multi_label


class Normalised(nn.Module):
    """A convolution of one pixel, batch normalisation and a dense layer."""

    @nn.compact
    def __call__(self, inputs, mask=None):
        x = nn.Conv(3, (1, 1))(inputs[:, None, None])
        # Two examples that are nearly alike would be divided by almost nothing, and rounding errors too.
        x = Norm("batch", epsilon=1.0)(x, mask)
        return nn.Dense(2)(x[:, 0, 0])


TASK = multi_label(Normalised(), jnp.zeros((1, 4)), running=True)


def normalised_variables():
    return TASK.init(jax.random.key(5))
