import jax
import numpy as np
import optax
import pytest
from linear_problem import site_batches
from personal_problem import STEPS, close, federate, network_loss, network_params, of_site

from fl_jax.algorithms.fed_ala import fed_ala
from fl_jax.algorithms.fed_avg import fed_avg

PRESENT = [(1, 1, 1), (1, 0, 1), (0, 1, 1)]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
def test_with_weights_of_one_it_is_fed_avg(keep):
    params, batches, optimizer = network_params(), site_batches(STEPS), optax.adam(0.1)
    ours = fed_ala(network_loss, optimizer, weight_lr=0.0, keep_optimizer=keep)
    plain = fed_avg(network_loss, optimizer, keep_optimizer=keep)
    state, metrics = federate(ours, params, batches, PRESENT)
    expected, expected_metrics = federate(plain, params, batches, PRESENT)
    close(state.server, expected.server, tolerance=0)
    sent = {"bytes": metrics.pop("bytes") - expected_metrics.pop("bytes")}
    np.testing.assert_array_equal(sent["bytes"][1:], 8)  # two scalars: the first exchange is empty
    close(metrics, expected_metrics, tolerance=0)
    close(ours.personal(state.server, of_site(state.sites, 0)), state.server.params, tolerance=0)


def test_weights_leave_one_from_the_second_round_on_and_stay_shares():
    algorithm = fed_ala(network_loss, optax.sgd(0.3), weight_lr=20.0)
    weights = []
    for rounds in (1, 4):
        state, _ = federate(algorithm, network_params(), site_batches(STEPS), np.ones((rounds, 3)))
        leaves = jax.tree.leaves(state.sites.weights)
        weights.append(np.concatenate([leaf.ravel() for leaf in leaves]))
    np.testing.assert_array_equal(weights[0], 1)
    assert weights[1].min() >= 0
    assert weights[1].max() <= 1
    assert ((weights[1] > 0.01) & (weights[1] < 0.99)).any()


def test_the_mixture_fits_the_site_better_than_the_global_model():
    batches = site_batches(STEPS)
    algorithm = fed_ala(network_loss, optax.sgd(0.3), weight_lr=20.0)
    state, _ = federate(algorithm, network_params(), batches, np.ones((6, 3)))
    for site in range(3):
        batch = jax.tree.map(lambda leaf, site=site: leaf[site, 0], batches)
        personal = algorithm.personal(state.server, of_site(state.sites, site))
        key = jax.random.key(0)
        assert network_loss(personal, batch, key) < network_loss(state.server.params, batch, key)


def test_weights_that_are_not_finite_are_refused_although_they_are_not_sent():
    batches = site_batches(STEPS)
    batches.inputs[1] = np.nan
    algorithm = fed_ala(network_loss, optax.sgd(0.3))
    state, metrics = federate(algorithm, network_params(), batches, [(1, 1, 1)])
    np.testing.assert_array_equal(metrics["accepted"], [True, False, True])
    close(of_site(state.sites, 1), algorithm.init_site(network_params()), tolerance=0)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="weight_lr=-1: must be at least 0; 0 is FedAvg"):
        fed_ala(network_loss, optax.sgd(0.1), weight_lr=-1)
    with pytest.raises(ValueError, match=r"local='\^none/': matches none of the model's leaves"):
        fed_ala(network_loss, optax.sgd(0.1), local="^none/").init_site(network_params())
