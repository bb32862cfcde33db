"""Chained algorithms, which only the sequential layout runs, and steps per call."""

import jax.numpy as jnp
import numpy as np
import pytest
from layout_problem import ALGORITHM, BATCHES, CHAINED, EVERYONE, begin, equal, made, spoiled
from linear_problem import streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts


def test_a_chained_round_is_a_round_at_every_site_in_turn(params):
    one_by_one = begin(params)
    for site in range(3):
        one_by_one, _ = made("sequential")(one_by_one, streamed(BATCHES), np.arange(3) == site)
    chained, _ = made("sequential", CHAINED)(begin(params), streamed(BATCHES), EVERYONE)
    equal(chained, one_by_one._replace(round=jnp.int32(1)))


def test_a_chain_goes_on_after_a_message_that_is_not_finite(params):
    run = made("sequential", CHAINED)
    state, metrics = run(begin(params), streamed(spoiled(BATCHES, 1)), EVERYONE)
    without, _ = run(begin(params), streamed(BATCHES), np.array([True, False, True]))
    np.testing.assert_array_equal(metrics["accepted"], [True, False, True])
    equal(state, without._replace(participated=state.participated))


def test_a_link_of_a_chain_is_one_site_of_s(params):
    add = lambda state, message, fraction: state._replace(extra=state.extra + fraction)  # noqa: E731
    init = lambda params: ALGORITHM.init_server(params)._replace(extra=jnp.zeros(()))  # noqa: E731
    counting = CHAINED._replace(server=add, init_server=init)
    state = begin(params, algorithm=counting)
    state, _ = made("sequential", counting)(state, streamed(BATCHES), np.arange(3) < 2)
    np.testing.assert_allclose(state.server.extra, 2 / 3, rtol=1e-6)


def test_a_call_takes_at_least_one_step():
    with pytest.raises(ValueError, match="steps_per_call=0: a call takes at least one step"):
        layouts.sequential(ALGORITHM, weighted_mean(), steps_per_call=0)
