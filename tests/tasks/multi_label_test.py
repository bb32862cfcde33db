import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import Batch
from fl_jax.tasks.multi_label import multi_label


class Constant(nn.Module):
    """Gives the same logits to every example."""

    @nn.compact
    def __call__(self, x):
        return jnp.broadcast_to(self.param("b", lambda key: jnp.array([0.0, 2.0])), (len(x), 2))


def test_weighted_loss_by_hand():
    task = multi_label(Constant(), jnp.zeros((2, 3)), positive_weights=np.array([3.0, 1.0]))
    params = task.init(jax.random.key(0))
    labels = jnp.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    batch = Batch(jnp.zeros((3, 3)), labels, jnp.array([1.0, 1.0, 0.0]))
    p = 1 / (1 + np.exp(-2.0))
    first = (3 * np.log(2) - np.log(p)) / 2
    second = (3 * np.log(2) - np.log(1 - p)) / 2
    loss = task.loss(params, batch, jax.random.key(1))
    np.testing.assert_allclose(loss, (first + second) / 2, rtol=1e-6)


def test_labels_of_another_shape_are_refused_not_broadcast():
    task = multi_label(nn.Dense(1), jnp.zeros((2, 3)))
    params = task.init(jax.random.key(0))
    batch = Batch(jnp.zeros((4, 3)), jnp.ones(4), jnp.ones(4))
    with pytest.raises(
        ValueError, match=r"labels \(4,\), logits \(4, 1\): must have the same shape"
    ):
        task.loss(params, batch, jax.random.key(1))
