import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches
from personal_problem import STEPS, close, federate, of_site

from fl_jax.algorithms.ditto import ditto
from fl_jax.algorithms.fed_avg import fed_avg

PRESENT = [(1, 1, 1), (1, 0, 1), (0, 1, 1)]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
def test_the_global_part_is_fed_avg(params, keep):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    ours = ditto(linear_loss, optimizer, lam=0.7, keep_optimizer=keep)
    plain = fed_avg(linear_loss, optimizer, keep_optimizer=keep)
    state, metrics = federate(ours, params, batches, PRESENT)
    expected, expected_metrics = federate(plain, params, batches, PRESENT)
    close(state.server, expected.server, tolerance=1e-7)
    close(state.sites.base, expected.sites, tolerance=1e-7)
    close(metrics, expected_metrics, tolerance=1e-7)


def test_without_lam_a_sites_own_model_is_a_local_one(params):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    state, _ = federate(ditto(linear_loss, optimizer, lam=0), params, batches, np.ones((2, 3)))
    alone = type(batches)(*(leaf[:1] for leaf in batches))
    local, _ = federate(fed_avg(linear_loss, optimizer), params, alone, np.ones((2, 1)))
    close(of_site(state.sites.personal, 0), local.server.params)


def test_a_large_lam_holds_it_to_what_was_broadcast(params):
    batches = site_batches(STEPS)
    algorithm = ditto(linear_loss, optax.sgd(1e-3), lam=1000.0)  # one step goes the whole way
    before, _ = federate(algorithm, params, batches, np.ones((1, 3)))
    after, _ = federate(algorithm, params, batches, np.ones((2, 3)))
    np.testing.assert_allclose(after.sites.personal["w"][1], before.server.params["w"], atol=1e-3)


def test_lam_is_not_negative():
    with pytest.raises(ValueError, match="lam=-1: must be at least 0"):
        ditto(linear_loss, optax.sgd(0.1), lam=-1)
