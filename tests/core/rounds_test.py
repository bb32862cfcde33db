"""Rounds in time: a run goes on where its state stands; void rounds change only the round's number."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.rounds import TooFewError, run_rounds, settle

ALGORITHM = fed_avg(linear_loss, optax.sgd(0.1))
RUN = layouts.sequential(ALGORITHM, weighted_mean())
EVERYONE = np.ones(3, bool)
BATCHES = site_batches((2, 2, 2))


def begin():
    params = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
    return layouts.init(ALGORITHM, weighted_mean(), params, 3, jax.random.key(0))


def run(state, until, participants=lambda round: EVERYONE, **options):
    batches = lambda round, site: streamed(BATCHES)(site)  # noqa: E731
    return list(
        run_rounds(RUN, state, until=until, batches=batches, participants=participants, **options)
    )


def same(a, b):
    key = lambda s: s._replace(key=jax.random.key_data(s.key))  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, key(a), key(b))


def test_a_run_continues_where_its_state_stands():
    states = [state for state, _ in run(begin(), until=3)]
    assert [int(state.round) for state in states] == [1, 2, 3]
    resumed = run(states[0], until=3)
    assert len(resumed) == 2
    same(resumed[-1][0], states[-1])
    assert run(states[-1], until=3) == []


def test_each_round_asks_for_its_sites_and_their_batches():
    asked = []

    def batches(round, site):
        asked.append((round, site))
        return streamed(BATCHES)(site)

    participants = lambda round: np.arange(3) == round  # noqa: E731
    rounds = run_rounds(RUN, begin(), until=3, batches=batches, participants=participants)
    state = begin()
    for number, (after, metrics) in enumerate(rounds):
        state = after
        np.testing.assert_array_equal(metrics["participating"], np.arange(3) == number)
        np.testing.assert_array_equal(metrics["accepted"], np.arange(3) == number)
        assert not metrics["void"]
    np.testing.assert_array_equal(state.participated, [1, 1, 1])
    assert asked == [(0, 0), (1, 1), (2, 2)]


def test_a_void_round_changes_only_the_number_of_the_round():
    few = lambda round: EVERYONE if round != 1 else np.arange(3) == 0  # noqa: E731
    rounds = run(begin(), until=3, participants=few, min_sites=2)
    assert [bool(metrics["void"]) for _, metrics in rounds] == [False, True, False]
    (first, _), (second, _), _ = rounds
    same(second, first._replace(round=jnp.int32(2)))
    assert not any(m["void"] for _, m in run(begin(), until=3, participants=few))


def test_a_run_may_stop_at_a_void_round():
    few = lambda round: np.arange(3) == 0  # noqa: E731
    with pytest.raises(TooFewError, match="round 1: only 1 of at least 2 sites"):
        run(begin(), until=3, participants=few, min_sites=2, void="stop")
    with pytest.raises(ValueError, match="void='hang'"):
        run(begin(), until=3, void="hang")


def test_a_server_state_that_is_not_finite_makes_a_round_void():
    before, accepted = begin(), EVERYONE
    after, _ = RUN(before, streamed(BATCHES), EVERYONE)
    kept, void = settle(before, after, accepted, min_sites=3)
    assert not void
    same(kept, after)
    infinite = after._replace(
        server=after.server._replace(params=after.server.params | {"b": jnp.array([jnp.inf, 0])})
    )
    kept, void = settle(before, infinite, accepted, min_sites=3)
    assert void
    same(kept, before._replace(round=after.round))


def test_a_run_undoes_a_round_whose_server_state_is_not_finite():
    def overflows(state, batches, present):
        after, metrics = RUN(state, batches, present)
        params = after.server.params | {"b": jnp.array([jnp.inf, 0])}
        return after._replace(server=after.server._replace(params=params)), metrics

    arguments = {
        "batches": lambda _, site: streamed(BATCHES)(site),
        "participants": lambda _: EVERYONE,
    }
    ((state, metrics),) = run_rounds(overflows, begin(), until=1, min_sites=3, **arguments)
    assert metrics["void"]
    same(state, begin()._replace(round=jnp.int32(1)))
    with pytest.raises(TooFewError, match="not finite"):
        list(run_rounds(overflows, begin(), until=1, min_sites=3, void="stop", **arguments))
