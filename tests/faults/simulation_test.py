"""Rounds with faults: strikes decide which rounds are void, and a run continues or stops."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.rounds import TooFewError
from fl_jax.faults.fault import build_faults
from fl_jax.faults.simulation import run_faulty_rounds
from fl_jax.faults.transport import with_faults


def federation(*specs, until=4, **options):
    """Every round's state and metrics of three sites with faults."""
    algorithm = fed_avg(linear_loss, optax.sgd(1.0))
    faults = build_faults(specs, 3)
    aggregator = with_faults(weighted_mean(), faults)
    params = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
    state = layouts.init(algorithm, aggregator, params, 3, jax.random.key(0))
    return run_faulty_rounds(
        layouts.sequential(algorithm, aggregator),
        state,
        until=until,
        batches=lambda round, site: streamed(site_batches((2, 2, 2)))(site),
        participants=lambda round: np.ones(3, bool),
        faults=faults,
        **options,
    )


def test_a_round_of_too_few_changes_nothing_and_the_run_goes_on():
    rounds = list(federation("not_finite(2, share=0.5)", until=12, min_sites=2))
    assert [int(state.round) for state, _ in rounds] == list(range(1, 13))
    void = np.array([bool(metrics["void"]) for _, metrics in rounds])
    np.testing.assert_array_equal(void, [m["struck"].sum() == 2 for _, m in rounds])
    assert 0 < void.sum() < 12
    for (before, _), (after, metrics) in pairwise(rounds):
        same = (before.server.params["w"] == after.server.params["w"]).all()
        assert same == metrics["void"]
        assert (before.participated == after.participated).all() == metrics["void"]


def test_a_run_may_stop_at_such_a_round():
    seen = federation("absent(2)", until=5, min_sites=2, void="stop")
    with pytest.raises(TooFewError, match="round 1: only 1 of at least 2 sites"):
        next(seen)
    seen = federation("explode(3, scale=1e38)", until=5, min_sites=1, void="stop")
    with pytest.raises(TooFewError, match=r"round 1: .* not finite"):
        next(seen)


def test_nobody_ever_comes_and_the_run_ends():
    rounds = list(federation("absent(3)", until=5, min_sites=1))
    assert len(rounds) == 5
    assert all(metrics["void"] for _, metrics in rounds)
    assert (rounds[-1][0].server.params["w"] == 1).all()


def test_a_fault_that_ends_training_early_needs_the_number_of_steps():
    with pytest.raises(ValueError, match="steps=None"):
        next(federation("drop_out(1)"))
