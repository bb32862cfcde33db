import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches
from personal_problem import STEPS, close, federate, of_site

from fl_jax.algorithms.apfl import apfl
from fl_jax.algorithms.fed_avg import fed_avg

PRESENT = [(1, 1, 1), (1, 0, 1), (0, 1, 1)]


def test_alpha_stays_a_share(params):
    state, _ = federate(
        apfl(linear_loss, optax.sgd(1.0), alpha_rate=1e4), params, site_batches(STEPS), PRESENT
    )
    assert set(np.asarray(state.sites.personal.alpha).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
def test_the_global_part_is_fed_avg_and_so_is_a_mixture_without_v(params, keep):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    algorithm = apfl(linear_loss, optimizer, alpha=0.0, keep_optimizer=keep)
    state, metrics = federate(algorithm, params, batches, PRESENT)
    plain = fed_avg(linear_loss, optimizer, keep_optimizer=keep)
    expected, expected_metrics = federate(plain, params, batches, PRESENT)
    close(state.server, expected.server, tolerance=1e-7)
    close(state.sites.base, expected.sites, tolerance=1e-7)
    close(metrics, expected_metrics, tolerance=1e-7)
    personal = algorithm.personal(state.server, of_site(state.sites, 1))
    close(personal, state.server.params, tolerance=0)


def test_with_v_alone_it_is_a_local_model(params):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    algorithm = apfl(linear_loss, optimizer, alpha=1.0)
    state, _ = federate(algorithm, params, batches, np.ones((2, 3)))
    alone = type(batches)(*(leaf[:1] for leaf in batches))
    local, _ = federate(fed_avg(linear_loss, optimizer), params, alone, np.ones((2, 1)))
    close(algorithm.personal(state.server, of_site(state.sites, 0)), local.server.params)


@pytest.mark.parametrize("name", ["alpha", "alpha_rate"])
def test_what_is_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=-0.1: must"):
        apfl(linear_loss, optax.sgd(0.1), **{name: -0.1})
