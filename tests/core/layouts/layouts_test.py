"""What every layout does, besides the contract in `contract_test.py`."""

import jax
import numpy as np
import pytest
from layout_problem import ALGORITHM, BATCHES, CHAINED, EVERYONE, begin, equal, made, spoiled
from linear_problem import site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts

STREAMING = ("sequential", "vmapped", "mesh")


@pytest.mark.parametrize("layout", STREAMING)
def test_a_site_that_was_left_out_takes_part_again(layout, params):
    run, before = made(layout), begin(params)
    state, _ = run(before, streamed(spoiled(BATCHES, 1)), EVERYONE)
    first, second = (jax.tree.map(lambda x: x[1], s.sites) for s in (before, state))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    _, metrics = run(state, streamed(BATCHES), EVERYONE)
    np.testing.assert_array_equal(metrics["accepted"], EVERYONE)


@pytest.mark.parametrize("layout", STREAMING)
def test_the_state_passed_in_stays_valid(layout, params):
    run, state = made(layout), begin(params)
    first, _ = run(state, streamed(BATCHES), EVERYONE)
    again, _ = run(state, streamed(BATCHES), EVERYONE)
    equal(first, again)


@pytest.mark.parametrize("layout", [*STREAMING, "whole_round"])
def test_what_became_of_every_site_shows_in_the_metrics(layout, params):
    batches = spoiled(site_batches((2, 2, 2, 0, 2, 1), sites=6), 4)
    present = np.array([1, 0, 1, 1, 1, 1], bool)

    def dropping(site):
        for batch in streamed(batches)(site):
            yield batch
            if site == 2:
                raise layouts.Dropout

    state, run = begin(params, sites=6), made(layout)
    if layout == "whole_round":
        state, metrics = jax.jit(run)(state, batches, present & (np.arange(6) != 2))
    else:
        state, metrics = run(state, dropping, present)
        np.testing.assert_array_equal(metrics["dropped"], [0, 0, 1, 0, 0, 0])
    nan = np.nan
    np.testing.assert_array_equal(metrics["accepted"], [1, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(metrics["examples"], [12, nan, nan, nan, 12, 4])
    np.testing.assert_array_equal(metrics["weight"], [12, nan, nan, nan, 12, 4])
    np.testing.assert_array_equal(
        metrics["bytes"], [44, nan, nan, nan, 44, 44]
    )  # 10 values, 1 weight
    np.testing.assert_array_equal(np.isnan(metrics["loss"]), [0, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(state.participated, [1, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("layout", [*STREAMING, "whole_round"])
def test_a_round_without_anyone_changes_nothing(layout, params):
    state, run, nobody = begin(params), made(layout), ~EVERYONE
    if layout == "whole_round":
        after, metrics = run(state, BATCHES, nobody)
    else:
        after, metrics = run(state, streamed(BATCHES), nobody)
    equal(after, state._replace(round=state.round + 1))
    ours = {"accepted", "dropped", "weight", "bytes", "refused"}
    assert metrics.keys() == ours | {"loss", "examples"}
    assert np.isnan(metrics["loss"]).all()


def test_bytes_are_those_of_the_aggregators_wire_format(params):
    one_bit = weighted_mean()._replace(payload=lambda message: message["w"].size // 8)
    run = made("sequential", aggregator=one_bit)
    _, metrics = run(begin(params, aggregator=one_bit), streamed(BATCHES), EVERYONE)
    np.testing.assert_array_equal(metrics["bytes"], [5, 5, 5])  # 8 bits and a weight


@pytest.mark.parametrize("layout", ["vmapped", "whole_round", "mesh"])
def test_what_is_chained_runs_in_sequential_only(layout):
    with pytest.raises(ValueError, match=f"'{layout}'.* use the layout 'sequential'"):
        made(layout, CHAINED)


@pytest.mark.parametrize("layout", ["sequential", "mesh"])
def test_several_steps_a_call_change_no_number(layout, params):
    batches = site_batches((5, 1, 2))
    single, several = made(layout), getattr(layouts, layout)
    several = several(ALGORITHM, weighted_mean(), steps_per_call=2)  # 2 + 2 + 1; 1 and 2 at once
    wanted, _ = single(begin(params), streamed(batches), EVERYONE)
    state, metrics = several(begin(params), streamed(batches), EVERYONE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        (state.server, state.sites),
        (wanted.server, wanted.sites),
    )
    np.testing.assert_array_equal(metrics["accepted"], EVERYONE)
