"""Rounds of two exchanges: those of Mime."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from layout_problem import EVERYONE, begin
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.mime import mime
from fl_jax.core import layouts
from fl_jax.wrappers.ema import ema
from fl_jax.wrappers.keep_local import keep_local
from fl_jax.wrappers.round_schedule import round_schedule, scale_by_round

BATCHES = site_batches((3, 1, 2))
MIME = mime(linear_loss, optax.sgd(0.1))


@pytest.mark.parametrize("layout", ["sequential", "vmapped", "mesh"])
def test_a_site_that_leaves_in_the_first_exchange_is_absent_from_the_second(layout, params):
    """Site 0 drops out in the first exchange only, and would be back for the second."""
    run, asked = getattr(layouts, layout)(MIME, weighted_mean()), []

    def batches(site):
        asked.append(site)
        yield from streamed(BATCHES)(site)
        if site == 0 and asked.count(0) == 1:
            raise layouts.Dropout

    state, metrics = run(begin(params, algorithm=MIME), batches, EVERYONE)
    alone, _ = run(begin(params, algorithm=MIME), streamed(BATCHES), np.array([False, True, True]))
    jax.tree.map(np.testing.assert_array_equal, state.server, alone.server)
    assert sorted(asked) == [0, 1, 1, 2, 2]
    assert metrics["dropped"].tolist() == [True, False, False]
    assert metrics["accepted"].tolist() == [False, True, True]
    assert state.round == 1
    assert state.participated.tolist() == [0, 1, 1]


def test_metrics_are_of_both_exchanges(params):
    batches = BATCHES._replace(inputs=BATCHES.inputs.copy())
    batches.inputs[0] = np.nan
    run = layouts.sequential(MIME, weighted_mean())
    _, metrics = run(begin(params, algorithm=MIME), streamed(batches), EVERYONE)
    once = 4 * sum(leaf.size for leaf in jax.tree.leaves(params)) + 4
    assert metrics["bytes"].tolist() == [once, 2 * once, 2 * once]
    assert metrics["refused"].tolist() == [2, 0, 0]
    assert metrics["examples"].tolist() == [20, 4, 12]


def test_a_first_exchange_in_wrappers(params):
    def after(algorithm):
        state, run = (
            begin(params, algorithm=algorithm),
            layouts.sequential(algorithm, weighted_mean()),
        )
        for _ in range(2):
            state, _ = run(state, streamed(BATCHES), EVERYONE)
        return state.server

    plain = after(MIME).params
    jax.tree.map(np.testing.assert_array_equal, after(ema(MIME, 0.5)).base.params, plain)
    scheduled = mime(linear_loss, optax.chain(optax.sgd(0.1), scale_by_round()))
    got = after(round_schedule(scheduled, [1.0, 1.0])).base.params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, plain)
    with pytest.raises(ValueError, match="keep_local: an algorithm with a first exchange"):
        keep_local(MIME, "b")


def test_algorithms_without_one_have_a_single_aggregator_state(params):
    state = begin(params, algorithm=fed_avg(linear_loss, optax.sgd(0.1)))
    assert type(state.aggregator).__name__ == "MeanState"
    first, second = begin(params, algorithm=MIME).aggregator
    assert jnp.shape(first.weight) == jnp.shape(second.weight) == ()
