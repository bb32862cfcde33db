import jax
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts


def federate(algorithm, params, batches, rounds, sites):
    state = layouts.init(algorithm, weighted_mean(), params, sites, jax.random.key(0))
    step = layouts.sequential(algorithm, weighted_mean())
    for _ in range(rounds):
        state, _ = step(state, streamed(batches), np.ones(sites, bool))
    return state


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1, momentum=0.9), optax.adam(0.05)])
def test_over_one_site_it_is_a_plain_optax_loop(optimizer, params):
    batches = site_batches((4,), sites=1)
    algorithm = fed_avg(linear_loss, optimizer, keep_optimizer=True)
    state = federate(algorithm, params, batches, rounds=3, sites=1)

    plain, opt_state = params, optimizer.init(params)
    for _ in range(3):
        for batch in streamed(batches)(0):
            gradient = jax.grad(linear_loss)(plain, batch, jax.random.key(0))
            updates, opt_state = optimizer.update(gradient, opt_state, plain)
            plain = optax.apply_updates(plain, updates)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6),
        state.server.params,
        plain,
    )


def test_one_sgd_step_at_each_site_weighs_the_gradients_by_examples(params):
    batches = site_batches((1, 1, 1))
    batches.mask[0, 0, 2:] = 0  # 2, 4 and 4 examples
    state = federate(fed_avg(linear_loss, optax.sgd(0.1)), params, batches, rounds=1, sites=3)
    gradients = [
        jax.grad(linear_loss)(params, next(streamed(batches)(s)), jax.random.key(0))
        for s in range(3)
    ]
    expected = jax.tree.map(
        lambda p, a, b, c: p - 0.1 * (2 * a + 4 * b + 4 * c) / 10, params, *gradients
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        state.server.params,
        expected,
    )


def test_the_server_optimizer_sees_the_negative_mean_update(params):
    batches = site_batches((2, 2, 2))
    plain = federate(fed_avg(linear_loss, optax.sgd(0.1)), params, batches, rounds=1, sites=3)
    halved = fed_avg(linear_loss, optax.sgd(0.1), server_optimizer=optax.sgd(0.5))
    state = federate(halved, params, batches, rounds=1, sites=3)
    jax.tree.map(
        lambda p, full, half: np.testing.assert_allclose(half, (p + full) / 2, atol=1e-6),
        params,
        plain.server.params,
        state.server.params,
    )


def test_by_default_a_site_keeps_no_optimizer_state(params):
    optimizer = optax.sgd(0.1, momentum=0.9)
    kept, fresh = (
        fed_avg(linear_loss, optimizer, keep_optimizer=True),
        fed_avg(linear_loss, optimizer),
    )
    assert jax.tree.leaves(fresh.init_site(params)) == []
    batches = site_batches((2,), sites=1)
    one, other = (federate(a, params, batches, rounds=2, sites=1) for a in (kept, fresh))
    assert not np.allclose(one.server.params["w"], other.server.params["w"], atol=1e-3)
