"""Faults in front of an aggregator: the order in which they act, their memory, and the server's checks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core.receive import REFUSED, receive
from fl_jax.core.types import Report
from fl_jax.faults.fault import build_faults
from fl_jax.faults.transport import with_faults

KEY = jax.random.key(0)
LIKE = {"w": jnp.zeros(2)}


def deliver(*specs, values=(1.0,), site=0):
    """The aggregate, and the metrics of one site's message in each of several rounds."""
    aggregator = with_faults(weighted_mean(), build_faults(specs, 3))
    state = aggregator.init(LIKE, 3)
    rounds = []
    for number, value in enumerate(values):
        report = Report({"w": jnp.full(2, value)}, jnp.float32(2), {})
        key = jax.random.fold_in(KEY, number)
        state, metrics = receive(aggregator, state, jnp.int32(site), report, key)
        rounds.append(metrics)
    return np.asarray(aggregator.finish(state)[0]["w"]), rounds


def test_without_faults_of_messages_the_aggregator_stays_as_it_is():
    aggregator = weighted_mean()
    assert with_faults(aggregator, ()) is aggregator
    assert with_faults(aggregator, build_faults(["absent(1)", "label_flip(1)"], 5)) is aggregator


def test_faults_act_in_order():
    both, _ = deliver("explode(1, scale=3.0)", "sign_flip(1)")
    np.testing.assert_allclose(both, [-3, -3])
    other, _ = deliver("explode(1, scale=3.0)", "sign_flip(1)", site=1)
    np.testing.assert_allclose(other, [1, 1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [("not_finite(1)", "not finite"), ("garble(1)", "unreadable"), ("duplicate(1)", "")],
)
def test_the_server_refuses_by_reason(text, reason):
    aggregate, (metrics,) = deliver(text)
    assert REFUSED[int(metrics["refused"])] == reason
    assert bool(metrics["accepted"]) == (reason == "")
    np.testing.assert_allclose(aggregate, [1, 1] if reason == "" else [0, 0])
    assert metrics["copies"] == (2 if "duplicate" in text else 1)


def test_a_stale_message_is_remembered_by_site():
    _, rounds = deliver("stale(1, delay=2)", values=(1.0, 2.0, 3.0))
    assert [REFUSED[int(m["refused"])] for m in rounds] == ["", "stale", "stale"]
    aggregate, rounds = deliver("trusting()", "stale(1, delay=2)", values=(1.0, 2.0, 3.0))
    assert all(m["accepted"] for m in rounds)
    np.testing.assert_allclose(aggregate, [1, 1])  # the first message, three times


def test_a_trusting_server_adds_every_copy_and_every_readable_message():
    _, (metrics,) = deliver("trusting()", "duplicate(1, copies=3)")
    assert metrics["weight"] == 6
    aggregate, (metrics,) = deliver("trusting()", "not_finite(1)")
    assert metrics["accepted"]
    assert np.isnan(aggregate).any()
    _, (metrics,) = deliver("trusting()", "garble(1)")
    assert REFUSED[int(metrics["refused"])] == "unreadable"
