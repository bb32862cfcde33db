"""How the server receives a site's report: it checks the message, adds it if accepted, and counts bytes."""

from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.core.keys import stream
from fl_jax.core.trees import all_finite, where
from fl_jax.core.types import Aggregator, Array, Metrics, Report

REFUSED = ("", "unreadable", "not finite", "stale")
"""Reasons to refuse a message, indexed by the metric `refused`; 0 is accepted."""


def receive(
    aggregator: Aggregator, state: Any, site: Array, report: Report, key: jax.Array
) -> tuple[Any, Metrics]:
    """Receives the report of a participating site.

    Args:
        aggregator: its `receive` replaces the plain check that message and weight are finite.
        state: the aggregator's.
        site: int32[], its index.
        report: of the site.
        key: of the site's round, see `keys.site_key`.

    Returns:
        The aggregator's state, unchanged if the message is refused; and the report's metrics with `weight`,
        `bytes`, `refused` and `accepted`.
    """
    if aggregator.receive is not None:
        state, metrics = aggregator.receive(state, site, report, key)
    else:
        accepted = all_finite((report.message, report.weight))
        state = add_if(accepted, aggregator, state, site, report.message, report.weight, key)
        refused = jnp.where(accepted, jnp.float32(0), jnp.float32(REFUSED.index("not finite")))
        metrics = {"weight": report.weight, "refused": refused, "accepted": accepted}
    sent = jnp.float32(payload_bytes(aggregator, report.message))
    return state, report.metrics | {"bytes": sent} | metrics


def add_if(
    accepted: Array,
    aggregator: Aggregator,
    state: Any,
    site: Array,
    message: Any,
    weight: Array,
    key: jax.Array,
) -> Any:
    """Adds a message if it is accepted; `key` is that of the site's round."""
    added = aggregator.add(state, site, message, weight, stream(key, "aggregate"))
    return where(accepted, added, state)  # a zero weight would not hide a NaN


def payload_bytes(aggregator: Aggregator, message: Any) -> int:
    """Bytes that a site sends: the message and its float32 weight."""
    if aggregator.payload:
        return aggregator.payload(message) + 4
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(message)) + 4
