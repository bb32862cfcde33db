import jax
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches
from personal_problem import (
    STEPS,
    begin,
    close,
    federate,
    of_site,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.ifca import ifca


def opposed(steps=(3, 2, 2), seed=0):
    """Sites 0 and 2 call positive what site 1 calls negative."""
    batches = site_batches(steps, seed=seed)
    truth = np.random.default_rng(9).normal(size=(4, 2))
    labels = (batches.inputs @ truth > 0).astype(np.float32)
    labels[1] = 1 - labels[1]
    return batches._replace(labels=labels)


def test_sites_that_disagree_part_and_those_that_agree_stay_together(params):
    algorithm = ifca(linear_loss, optax.sgd(0.5), spread=1.0)
    state, metrics = federate(algorithm, params, opposed(), np.ones((20, 3)))
    first, second, third = state.sites.tolist()
    assert first == third != second
    _, plain = federate(fed_avg(linear_loss, optax.sgd(0.5)), params, opposed(), np.ones((20, 3)))
    assert (metrics["loss"] < 0.7 * plain["loss"]).all()


def test_a_cluster_that_nobody_chose_stays(params):
    batches = site_batches(STEPS)
    momentum = optax.sgd(1.0, momentum=0.9)
    algorithm = ifca(
        linear_loss, optax.sgd(0.5), clusters=3, spread=50.0, server_optimizer=momentum
    )
    before = begin(algorithm, params).server
    state, _ = federate(algorithm, params, batches, np.ones((2, 3)))
    np.testing.assert_array_equal(state.sites, 0)
    for k in (1, 2):
        close(of_site(state.server.clusters, k), of_site(before.clusters, k), tolerance=0)
    assert np.abs(state.server.params["w"] - params["w"]).max() > 0.01
    nobody, _ = federate(algorithm, params, batches, np.zeros((1, 3)))
    close(nobody.server, before, tolerance=0)


def test_a_site_without_an_example_keeps_its_choice(params):
    algorithm = ifca(linear_loss, optax.sgd(0.5))
    sent = algorithm.broadcast(algorithm.init_server(params))
    local = algorithm.client.start(sent, jax.numpy.int32(1), jax.random.key(0))
    report, choice = algorithm.client.finish(sent, jax.numpy.int32(1), local)
    assert choice == 1
    assert report.weight == 0


def test_one_cluster_is_fed_avg(params):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    present = [(1, 1, 1), (1, 0, 1)]
    state, _ = federate(ifca(linear_loss, optimizer, clusters=1), params, batches, present)
    plain, _ = federate(fed_avg(linear_loss, optimizer), params, batches, present)
    close(state.server.params, plain.server.params, tolerance=1e-7)


def test_the_first_cluster_is_the_initial_model_and_the_seed_decides_on_the_others(params):
    one, again, other = (
        begin(ifca(linear_loss, optax.sgd(0.5), clusters=3, seed=seed), params).server.clusters
        for seed in (1, 1, 2)
    )
    close(one, again, tolerance=0)
    close(of_site(one.params, 0), params, tolerance=0)
    noise = np.asarray(one.params["w"] - params["w"])
    assert np.abs(noise[1] - noise[2]).max() > 0.01
    assert np.abs(noise[1] - (other.params["w"] - params["w"])[1]).max() > 0.01
    wide = begin(ifca(linear_loss, optax.sgd(0.5), clusters=3, seed=1, spread=0.2), params)
    np.testing.assert_allclose(wide.server.clusters.params["w"] - params["w"], 2 * noise, atol=1e-6)


@pytest.mark.parametrize("argument", [{"clusters": 0}, {"spread": 0.0}])
def test_what_is_out_of_range_is_refused(argument):
    name, value = next(iter(argument.items()))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        ifca(linear_loss, optax.sgd(0.1), **argument)
