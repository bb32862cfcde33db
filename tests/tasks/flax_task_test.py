import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.types import Batch
from fl_jax.tasks.multi_label import multi_label


class Constant(nn.Module):
    """Gives the same logits to every example."""

    @nn.compact
    def __call__(self, x):
        return jnp.broadcast_to(self.param("b", lambda key: jnp.array([0.0, 2.0])), (len(x), 2))


def test_padding_weighs_nothing():
    task = multi_label(Constant(), jnp.zeros((2, 3)))
    params = task.init(jax.random.key(0))
    empty = Batch(jnp.zeros((2, 3)), jnp.ones((2, 2)), jnp.zeros(2))
    assert task.loss(params, empty, jax.random.key(1)) == 0


def test_augmentation_acts_in_training_only():
    task = multi_label(
        nn.Dense(1), jnp.zeros((2, 3)), augment=lambda key, x: x + jax.random.normal(key, x.shape)
    )
    params = task.init(jax.random.key(0))
    batch = Batch(jnp.ones((2, 3)), jnp.ones((2, 1)), jnp.ones(2))
    assert task.loss(params, batch, jax.random.key(1)) != task.loss(
        params, batch, jax.random.key(2)
    )
    np.testing.assert_array_equal(
        task.logits(params, batch.inputs)[0], task.logits(params, batch.inputs)[1]
    )


def test_mixed_examples_are_seen_in_training_only():
    def swap(key, inputs, labels, mask):
        assert inputs.shape == (2, 3)
        return inputs[::-1] * 2, labels[::-1]

    plain, mixing = (multi_label(nn.Dense(1), jnp.zeros((2, 3)), mix=mix) for mix in (None, swap))
    params, key = plain.init(jax.random.key(0)), jax.random.key(1)
    batch = Batch(jnp.arange(6.0).reshape(2, 3), jnp.array([[1.0], [0.0]]), jnp.array([1.0, 0.0]))
    mixed = Batch(batch.inputs[::-1] * 2, batch.labels[::-1], batch.mask)
    assert mixing.loss(params, batch, key) == plain.loss(params, mixed, key)
    assert mixing.loss(params, batch, key) != plain.loss(params, batch, key)
    np.testing.assert_array_equal(
        mixing.logits(params, batch.inputs), plain.logits(params, batch.inputs)
    )
