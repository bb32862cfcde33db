"""Receiving a report: accepted or refused, its metrics, and the aggregator's say in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.aggregators.quantize import quantize
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core.receive import REFUSED, payload_bytes, receive
from fl_jax.core.types import Report

KEY = jax.random.key(0)
LIKE = {"w": jnp.zeros(3)}


def report(value=1.0, weight=2.0):
    message = {"w": jnp.array([value, 2.0, 3.0])}
    return Report(message, jnp.float32(weight), {"loss": jnp.float32(0.5)})


def received(given):
    aggregator = weighted_mean()
    state, metrics = receive(aggregator, aggregator.init(LIKE, 2), jnp.int32(0), given, KEY)
    return aggregator.finish(state)[0]["w"], metrics


def test_a_finite_message_is_added_with_its_weight():
    mean, metrics = received(report())
    np.testing.assert_allclose(mean, [1, 2, 3])
    assert {name: float(value) for name, value in metrics.items()} == {
        "loss": 0.5,
        "weight": 2.0,
        "bytes": 16.0,
        "refused": 0.0,
        "accepted": 1.0,
    }


@pytest.mark.parametrize("given", [report(np.nan), report(np.inf), report(weight=np.nan)])
def test_what_is_not_finite_is_refused_and_leaves_no_trace(given):
    mean, metrics = received(given)
    np.testing.assert_array_equal(mean, np.zeros(3))
    assert REFUSED[int(metrics["refused"])] == "not finite"
    assert not metrics["accepted"]


def test_an_aggregator_may_receive_by_its_rules():
    def none_accepted(state, site, report, key):
        return state, {"weight": report.weight, "refused": 3.0, "accepted": jnp.array(False)}

    aggregator = weighted_mean()._replace(receive=none_accepted)
    before = aggregator.init(LIKE, 2)
    after, metrics = receive(aggregator, before, jnp.int32(0), report(), KEY)
    assert after is before
    assert metrics["refused"] == 3
    assert metrics["loss"] == 0.5
    assert metrics["bytes"] == 16


def test_bytes_are_those_on_the_wire():
    assert payload_bytes(weighted_mean(), LIKE) == 3 * 4 + 4
    compressed = quantize(bits=8)
    assert payload_bytes(compressed, LIKE) == compressed.payload(LIKE) + 4 < 3 * 4 + 4
