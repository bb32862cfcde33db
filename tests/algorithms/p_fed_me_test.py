import jax
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches
from personal_problem import STEPS, close, federate, of_site

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.p_fed_me import p_fed_me

PRESENT = [(1, 1, 1), (1, 0, 1), (0, 1, 1)]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
def test_a_single_inner_step_that_w_follows_all_the_way_is_fed_avg(params, keep):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    ours = p_fed_me(linear_loss, optimizer, lam=4.0, inner_steps=1, rate=0.25, keep_optimizer=keep)
    plain = fed_avg(linear_loss, optimizer, keep_optimizer=keep)
    state, metrics = federate(ours, params, batches, PRESENT)
    expected, expected_metrics = federate(plain, params, batches, PRESENT)
    close(state.server, expected.server, tolerance=1e-5)
    close(metrics, expected_metrics, tolerance=1e-5)


def test_inner_steps_share_the_batchs_key_and_count_its_examples_once(params):
    """With the key of each step as its loss, the mean over inner steps is FedAvg's mean over steps."""

    def keyed(params, batch, key):
        return linear_loss(params, batch, key) * 0 + jax.random.uniform(key)

    batches = site_batches(STEPS)
    _, metrics = federate(p_fed_me(keyed, optax.sgd(0.1)), params, batches, [(1, 1, 1)])
    _, expected = federate(fed_avg(keyed, optax.sgd(0.1)), params, batches, [(1, 1, 1)])
    close(metrics, expected)


def test_an_absent_site_keeps_its_personal_model(params):
    algorithm = p_fed_me(linear_loss, optax.sgd(0.01))
    state, _ = federate(algorithm, params, site_batches(STEPS), [(1, 0, 1)])
    close(algorithm.personal(state.server, of_site(state.sites, 1)), params, tolerance=0)
    moved = algorithm.personal(state.server, of_site(state.sites, 0))
    assert np.abs(moved["w"] - params["w"]).max() > 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lam": 0.0}, "lam=0.0: must be above 0"),
        ({"inner_steps": 0}, "inner_steps=0: must be at least 1"),
        ({"rate": 0.0}, "rate=0.0: must be above 0"),
        ({"lam": 2.0, "rate": 0.6}, r"rate=0.6: .* at most 1 / lam = 0.5"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        p_fed_me(linear_loss, optax.sgd(0.1), **arguments)
