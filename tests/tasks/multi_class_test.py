import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import Batch
from fl_jax.tasks.multi_class import multi_class


class Constant(nn.Module):
    """Gives the same logits to every example."""

    @nn.compact
    def __call__(self, x):
        return jnp.broadcast_to(self.param("b", lambda key: jnp.array([0.0, 2.0])), (len(x), 2))


def test_softmax_loss_by_hand():
    task = multi_class(Constant(), jnp.zeros((2, 3)))
    params = task.init(jax.random.key(0))
    labels = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    batch = Batch(jnp.zeros((3, 3)), labels, jnp.array([1.0, 1.0, 0.0]))
    p = 1 / (1 + np.exp(-2.0))
    loss = task.loss(params, batch, jax.random.key(1))
    np.testing.assert_allclose(loss, -(np.log(1 - p) + np.log(p)) / 2, rtol=1e-6)
    numbers = batch._replace(labels=jnp.array([0, 1, 1]))
    assert task.loss(params, numbers, jax.random.key(1)) == pytest.approx(float(loss), rel=1e-6)


def test_labels_that_are_no_classes_are_refused():
    task = multi_class(Constant(), jnp.zeros((2, 3)))
    params = task.init(jax.random.key(0))
    batch = Batch(jnp.zeros((3, 3)), jnp.ones(3), jnp.ones(3))
    with pytest.raises(ValueError, match=r"labels \(3,\), logits \(3, 2\): must be class numbers"):
        task.loss(params, batch, jax.random.key(1))
