"""The local step and the running mean, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.core import client
from fl_jax.core.types import Batch

KEY = jax.random.key(0)


def loss(params, batch, key):
    """0.5 (x - a)^2, the mean over real examples."""
    del key
    return (batch.mask * 0.5 * (params - batch.inputs) ** 2).sum() / batch.mask.sum()


def batch(*inputs, real=None):
    values = np.float32(inputs)
    mask = np.float32(np.arange(len(inputs)) < (real or len(inputs)))
    return Batch(values, np.zeros_like(values), mask)


def test_a_step_takes_the_gradient_and_counts_examples_and_loss():
    step = client.gradient_step(loss, optax.sgd(0.5))
    local = client.start(jnp.float32(0), optax.sgd(0.5).init(0.0), KEY)
    local = step(local, batch(2.0, 4.0, 99.0, real=2))  # gradient -3, loss (2 + 8) / 2
    np.testing.assert_allclose(local.params, 1.5)
    local = step(local, batch(1.5))
    np.testing.assert_allclose(local.params, 1.5)
    metrics = client.metrics(local)
    np.testing.assert_allclose(metrics["examples"], 3)
    np.testing.assert_allclose(metrics["loss"], 10 / 3, rtol=1e-6)


def test_without_an_example_the_mean_loss_is_zero():
    assert client.metrics(client.start(0.0, (), KEY)) == {"loss": 0, "examples": 0}


def test_a_direction_replaces_the_gradient_and_has_its_key():
    keys = []

    def direction(local, gradient, batch, key):
        keys.append(jax.random.key_data(key).tolist())
        return -gradient, local.extra + 1

    step = client.gradient_step(loss, optax.sgd(0.5), direction)
    local = client.start(jnp.float32(0), optax.sgd(0.5).init(0.0), KEY)._replace(extra=0)
    local = step(step(local, batch(2.0)), batch(2.0))
    np.testing.assert_allclose(local.params, -1 - 1.5)
    assert local.extra == 2
    assert keys[0] == jax.random.key_data(jax.random.split(KEY)[1]).tolist()
    assert keys[0] != keys[1]


def test_a_plain_loss_refuses_batch_norm_statistics():
    step = client.gradient_step(loss, optax.sgd(0.5))
    local = client.start(jnp.float32(0), optax.sgd(0.5).init(0.0), KEY)
    with pytest.raises(ValueError, match="only the task's own loss updates BatchNorm statistics"):
        step(local._replace(batch_stats={"mean": jnp.zeros(1)}), batch(2.0))


def test_a_running_mean_is_weighted_and_zero_without_values():
    running = client.empty_mean({"x": jnp.zeros(2)})
    np.testing.assert_array_equal(client.mean(running)["x"], [0, 0])
    running = client.accumulate(running, {"x": jnp.array([1.0, 2.0])}, 1)
    running = client.accumulate(running, {"x": jnp.array([5.0, 4.0])}, 3)
    np.testing.assert_allclose(client.mean(running)["x"], [4, 3.5])


def test_the_broadcast_model_s_loss_is_averaged_over_examples():
    direction = client.track_broadcast_loss(loss)
    local = client.start(jnp.float32(7), (), KEY)
    local = local._replace(extra=(jnp.float32(0), client.empty_mean(jnp.zeros(()))))
    for given in (batch(2.0, 2.0, 2.0), batch(4.0, 99.0, real=1)):
        gradient, extra = direction(local, jnp.float32(3), given, KEY)
        local = local._replace(extra=extra)
        assert gradient == 3
    np.testing.assert_allclose(client.mean(local.extra[1]), (3 * 2 + 8) / 4)
