import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import Batch
from fl_jax.tasks.task import flipped, multi_class, multi_label, positive_weights


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


def test_softmax_loss_by_hand():
    task = multi_class(Constant(), jnp.zeros((2, 3)))
    params = task.init(jax.random.key(0))
    labels = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    batch = Batch(jnp.zeros((3, 3)), labels, jnp.array([1.0, 1.0, 0.0]))
    p = 1 / (1 + np.exp(-2.0))
    loss = task.loss(params, batch, jax.random.key(1))
    np.testing.assert_allclose(loss, -(np.log(1 - p) + np.log(p)) / 2, rtol=1e-6)


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


def test_a_flipped_prediction_is_the_mean_of_the_logits_and_knows_no_side():
    flat = lambda x: x.reshape(len(x), -1)  # noqa: E731
    plain = multi_label(nn.Dense(2), jnp.zeros((1, 3, 4, 5)), prepare=flat)
    params, both = plain.init(jax.random.key(0)), flipped(plain)
    x = jax.random.normal(jax.random.key(1), (2, 3, 4, 5))
    mirrored = x[:, :, :, ::-1]
    wanted = (plain.logits(params, x) + plain.logits(params, mirrored)) / 2
    np.testing.assert_allclose(both.logits(params, x), wanted, rtol=1e-6)
    np.testing.assert_allclose(
        both.logits(params, x), both.logits(params, mirrored), rtol=1e-5, atol=1e-6
    )
    assert np.abs(both.logits(params, x) - plain.logits(params, x)).max() > 0.1
    assert both.loss is plain.loss


def test_positive_weights_from_counts():
    weights = positive_weights(np.array([50, 10, 1, 0]), 100, ceiling=20)
    np.testing.assert_allclose(weights, [1, 9, 20, 20])


@pytest.mark.parametrize(("positives", "examples"), [([1], 0), ([-1], 5), ([6], 5)])
def test_counts_out_of_range_are_refused(positives, examples):
    with pytest.raises(ValueError, match="each count must lie in"):
        positive_weights(np.array(positives), examples)
