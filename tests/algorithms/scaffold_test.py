import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from quadratic_problem import (
    START,
    everybody,
    fed_avg_fixed_point,
    federate,
    optimum,
    quadratic_loss,
    site_batches,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.scaffold import scaffold

LR = 0.1


@pytest.mark.parametrize("option", [1, 2])
def test_it_ends_at_the_optimum_where_fed_avg_does_not(option):
    steps, weights = (8, 8, 8), (4, 2, 3)
    batches = site_batches(steps, weights)
    algorithm = scaffold(quadratic_loss, optax.sgd(LR), option=option)
    end = federate(algorithm, batches, everybody(150))[-1]
    np.testing.assert_allclose(end, optimum(weights), rtol=1e-5, atol=1e-5)
    drifted = federate(fed_avg(quadratic_loss, optax.sgd(LR)), batches, everybody(150))[-1]
    np.testing.assert_allclose(drifted, fed_avg_fixed_point(weights, steps, LR), atol=1e-5)
    assert np.abs(drifted - optimum(weights)).max() > 0.05


def test_the_first_round_of_option_2_is_fed_avgs():
    batches = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)
    one = federate(scaffold(quadratic_loss, optax.sgd(LR)), batches, everybody(1))
    other = federate(fed_avg(quadratic_loss, optax.sgd(LR)), batches, everybody(1))
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("option", [1, 2])
def test_a_site_without_a_step_keeps_its_control_variate(option):
    algorithm = scaffold(quadratic_loss, optax.sgd(LR), option=option)
    start = {"x": jnp.asarray(START, jnp.float32)}
    sent = algorithm.broadcast(algorithm.init_server(start))
    site = algorithm.init_site(start)[0], {"x": jnp.ones(2)}
    local = algorithm.client.start(sent, site, jax.random.key(0))
    report, kept = algorithm.client.finish(sent, site, local)
    np.testing.assert_array_equal(kept[1]["x"], 1)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves((report.message, report.weight)))


@pytest.mark.parametrize(
    "bad", [{"option": 3}, {"client_lr": 0.0}, {"client_lr": -1.0}, {"server_lr": 0.0}]
)
def test_bad_arguments_are_refused(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name}={value}: must"):
        scaffold(quadratic_loss, optax.sgd(LR), **bad)
