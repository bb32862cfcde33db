import jax
import numpy as np
import optax
import pytest

from fl_jax.aggregators.median import median
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.cyclic import cyclic
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_dyn import fed_dyn
from fl_jax.core import layouts
from fl_jax.core.federate import federate
from fl_jax.core.sites import Sites, central

KEY = jax.random.key(0)
START = np.float32(0.0)


def loss(params, batch, key):
    """Half of the mean squared distance: a full-batch step at rate 1 lands on the mean."""
    del key
    return (batch.mask * (params - batch.inputs) ** 2).sum() / batch.mask.sum() / 2


def of(*means, size=4):
    return {
        f"s{number}": (np.full(size + number, mean), np.zeros(size + number))
        for number, mean in enumerate(means)
    }


SITES = Sites(of(1.0, 4.0, 7.0), batch_size=8)  # of 4, 5 and 6 examples
ALGORITHM = fed_avg(loss, optax.sgd(1.0))


def test_a_round_by_hand():
    init, step = federate(ALGORITHM, weighted_mean(), SITES)
    state, metrics = step(init(START, KEY))
    np.testing.assert_allclose(state.params, (4 * 1 + 5 * 4 + 6 * 7) / 15, rtol=1e-6)
    assert metrics.loss == pytest.approx({"s0": 0.5, "s1": 8.0, "s2": 24.5})
    assert metrics.examples == {"s0": 4, "s1": 5, "s2": 6}
    state, metrics = step(state, present=["s0", "s2"])
    np.testing.assert_allclose(state.params, (4 * 1 + 6 * 7) / 10, rtol=1e-6)
    assert metrics.accepted == {"s0": True, "s1": False, "s2": True}
    assert np.isnan(metrics.loss["s1"])
    init, step = federate(ALGORITHM, median(), SITES)
    state, _ = step(init(START, KEY))
    np.testing.assert_allclose(state.params, 4.0, rtol=1e-6)


def test_what_a_site_counts():
    """FedDyn's h, from zero, is the fraction times the mean."""
    algorithm = fed_dyn(loss, optax.sgd(1.0), alpha=1.0)
    for weighting, mean, fraction in (
        ("examples", (4 * 1 + 6 * 7) / 10, 10 / 15),
        ("equal", (1 + 7) / 2, 2 / 3),
    ):
        init, step = federate(algorithm, weighted_mean(), SITES, weighting=weighting)
        state, _ = step(init(START, KEY), present=["s0", "s2"])
        np.testing.assert_allclose(state.server.extra, fraction * mean, rtol=1e-6)
        np.testing.assert_allclose(state.params, mean + fraction * mean, rtol=1e-6)


@pytest.mark.parametrize("layout", ["vmapped", "mesh"])
def test_layouts_give_the_same_numbers(layout):
    states = []
    for name in ("auto", layout):
        init, step = federate(ALGORITHM, weighted_mean(), SITES, layout=name, epochs=2)
        state = init(START, KEY)
        for _ in range(2):
            state, _ = step(state)
        states.append(state.params)
    np.testing.assert_allclose(*states, rtol=1e-6)


def test_the_pure_form_gives_the_same_numbers():
    init, step = federate(ALGORITHM, weighted_mean(), SITES, epochs=3)
    whole = jax.jit(layouts.whole_round(ALGORITHM, weighted_mean()))
    state = other = init(START, KEY)
    for index in range(2):
        state, _ = step(state)
        other, _ = whole(other, SITES.stack(index, epochs=3), np.ones(3, bool))
    np.testing.assert_allclose(state.params, other.params, rtol=1e-6)


def test_a_restored_state_continues_with_the_same_bits():
    sites = Sites({"a": (np.arange(9.0), np.zeros(9)), "b": (np.arange(5.0), np.zeros(5))}, 2)
    algorithm = fed_avg(loss, optax.sgd(0.1, momentum=0.5), keep_optimizer=True)
    init, step = federate(algorithm, weighted_mean(), sites, min_sites=1)
    first, _ = step(init(START, KEY))
    straight, _ = step(step(first)[0])
    _, fresh = federate(algorithm, weighted_mean(), sites, min_sites=1)
    resumed, _ = fresh(fresh(first)[0])
    np.testing.assert_array_equal(straight.params, resumed.params)


def test_min_sites_draws_the_rounds_sites():
    init, step = federate(ALGORITHM, weighted_mean(), SITES, min_sites=1)
    state, counts = init(START, KEY), []
    for _ in range(12):
        state, metrics = step(state)
        counts.append(sum(metrics.accepted.values()))
    assert set(counts) == {1, 2, 3}


def test_central_training_is_a_plain_loop():
    pooled = central(Sites(of(1.0, 4.0), batch_size=3))
    optimizer = optax.sgd(0.1, momentum=0.9)
    init, step = federate(fed_avg(loss, optimizer, keep_optimizer=True), weighted_mean(), pooled)
    state = init(START, KEY)
    params, inner = START, optimizer.init(START)
    for index in range(3):
        state, _ = step(state)
        for batch in pooled.batches("all", index):
            updates, inner = optimizer.update(jax.grad(loss)(params, batch, KEY), inner)
            params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(state.params, params, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"algorithm": fed_avg}, r"algorithm: is fed_avg, no Algorithm; such as fed_avg\(loss"),
        ({"aggregator": weighted_mean}, r"aggregator: is weighted_mean, no Aggregator"),
        ({"sites": of(1.0)}, r"sites: is dict, no Sites"),
        ({"epochs": 0}, r"epochs=0: must be above 0"),
        ({"min_sites": 4}, r"min_sites=4: must lie in 1\.\.3"),
        ({"layout": "fast"}, r"layout='fast': must be one of"),
        ({"weighting": "sites"}, r"weighting='sites': must be one of examples, equal"),
        ({"algorithm": cyclic(loss, optax.sgd(1.0)), "layout": "vmapped"}, r"layout 'vmapped'"),
    ],
)
def test_wrong_arguments(wrong, message):
    given = {"algorithm": ALGORITHM, "aggregator": weighted_mean(), "sites": SITES} | wrong
    with pytest.raises(ValueError, match=message):
        federate(**given)


def test_wrong_calls():
    init, step = federate(ALGORITHM, weighted_mean(), SITES)
    state = init(START, KEY)
    for present in ("s0", []):
        with pytest.raises(ValueError, match=r"present=.*: must be a list of site names"):
            step(state, present=present)
    with pytest.raises(ValueError, match="site 's9': unknown; the sites are s0, s1, s2"):
        step(state, present=["s0", "s9"])
    with pytest.raises(ValueError, match="state: is of 3 sites, the federation has 1"):
        federate(ALGORITHM, weighted_mean(), central(SITES))[1](state)
    with pytest.raises(AttributeError, match="no metric 'lost'; there are: accepted"):
        _ = step(state)[1].lost
