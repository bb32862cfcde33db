import jax
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax import round as fl_round
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg

STEPS = (3, 1, 2)


@pytest.fixture(params=[True, False], ids=["kept", "fresh"])
def algorithm(request):
    return fed_avg(linear_loss, optax.adam(0.1), keep_optimizer=request.param)


def start(algorithm, params):
    return fl_round.init(algorithm, weighted_mean(), params, 3, jax.random.key(0))


def run(layout, algorithm, params, batches, present, rounds=2):
    state = start(algorithm, params)
    if layout == "whole":
        step = jax.jit(fl_round.whole(algorithm, weighted_mean()))
        for _ in range(rounds):
            state, metrics = step(state, batches, np.array(present))
    else:
        step = getattr(fl_round, layout)(algorithm, weighted_mean())
        for _ in range(rounds):
            state, metrics = step(state, streamed(batches), np.array(present))
    return state, metrics


def plain(state):
    return state._replace(key=jax.random.key_data(state.key))


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("layout", ["vmapped", "whole"])
@pytest.mark.parametrize("present", [(1, 1, 1), (1, 0, 1)])
def test_layouts_agree(layout, algorithm, params, present):
    present = [bool(p) for p in present]
    batches = site_batches(STEPS)
    one, one_metrics = run("sequential", algorithm, params, batches, present)
    other, other_metrics = run(layout, algorithm, params, batches, present)
    close(plain(one), plain(other), rtol=1e-5, atol=1e-5)
    for name in one_metrics:
        np.testing.assert_allclose(one_metrics[name], other_metrics[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["sequential", "vmapped", "whole"])
def test_an_absent_sites_data_changes_nothing(layout, algorithm, params):
    batches = site_batches(STEPS)
    spoiled = batches._replace(inputs=batches.inputs.copy())
    spoiled.inputs[1] = np.nan
    present = [True, False, True]
    one, _ = run(layout, algorithm, params, batches, present)
    other, _ = run(layout, algorithm, params, spoiled, present)
    close(plain(one), plain(other), rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["sequential", "vmapped", "whole"])
def test_a_message_that_is_not_finite_is_left_out_and_shown(layout, algorithm, params):
    batches = site_batches(STEPS)
    spoiled = batches._replace(inputs=batches.inputs.copy())
    spoiled.inputs[1] = np.nan
    with_it, metrics = run(layout, algorithm, params, spoiled, [True] * 3, rounds=1)
    without, _ = run(layout, algorithm, params, batches, [True, False, True], rounds=1)
    np.testing.assert_array_equal(metrics["accepted"], [True, False, True])
    close(with_it.server, without.server, rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["sequential", "vmapped"])
def test_a_site_that_was_left_out_takes_part_again(layout, algorithm, params):
    batches = site_batches(STEPS)
    spoiled = batches._replace(inputs=batches.inputs.copy())
    spoiled.inputs[1] = np.nan
    step = getattr(fl_round, layout)(algorithm, weighted_mean())
    before = start(algorithm, params)
    state, _ = step(before, streamed(spoiled), np.ones(3, bool))
    close(*(jax.tree.map(lambda x: x[1], s.sites) for s in (state, before)), rtol=0, atol=0)
    _, metrics = step(state, streamed(batches), np.ones(3, bool))
    np.testing.assert_array_equal(metrics["accepted"], [True] * 3)


@pytest.mark.parametrize("layout", ["sequential", "vmapped"])
def test_the_state_passed_in_stays_valid(layout, algorithm, params):
    state = start(algorithm, params)
    step = getattr(fl_round, layout)(algorithm, weighted_mean())
    first, _ = step(state, streamed(site_batches(STEPS)), np.ones(3, bool))
    again, _ = step(state, streamed(site_batches(STEPS)), np.ones(3, bool))
    close(plain(first), plain(again), rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["sequential", "vmapped", "whole"])
def test_nothing_recompiles_when_participation_changes(layout, algorithm, params):
    compiled = []
    loss = lambda *args: compiled.append(None) or linear_loss(*args)  # noqa: E731
    counting = fed_avg(loss, optax.adam(0.1))
    batches = site_batches(STEPS)
    state = start(counting, params)
    if layout == "whole":
        step, given = jax.jit(fl_round.whole(counting, weighted_mean())), batches
    else:
        step, given = getattr(fl_round, layout)(counting, weighted_mean()), streamed(batches)
    counts = []
    for present in [(1, 1, 1), (0, 1, 0), (1, 0, 1)]:
        state, _ = step(state, given, np.array(present, bool))
        counts.append(len(compiled))
    assert counts[0] > 0
    assert counts == counts[:1] * 3


def test_state_counts_rounds_and_participation(algorithm, params):
    state, _ = run("sequential", algorithm, params, site_batches(STEPS), [True, False, True])
    assert state.round == 2
    np.testing.assert_array_equal(state.participated, [2, 0, 2])


def test_a_federation_has_a_site(algorithm, params):
    with pytest.raises(ValueError, match="sites=0"):
        fl_round.init(algorithm, weighted_mean(), params, 0, jax.random.key(0))
