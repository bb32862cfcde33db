"""Puts faults between the sites' messages and an aggregator, with the checks of the server behind them.

Because the faults are part of the aggregator, they work with every algorithm and layout.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fl_jax.core.keys import stream
from fl_jax.core.receive import REFUSED, add_if
from fl_jax.core.trees import all_finite, per_site, put, take, where
from fl_jax.core.types import Aggregator, Array, Metrics, Report
from fl_jax.faults.fault import Arrival, Fault, is_struck


class FaultyState(NamedTuple):
    """Each fault's memory of each site (leaves [S, ...]), and the aggregator's state."""

    memories: tuple[Any, ...]
    inner: Any


def with_faults(aggregator: Aggregator, faults: Sequence[Fault]) -> Aggregator:
    """Wraps an aggregator so that faults act on the messages it receives.

    Args:
        aggregator: the aggregator behind the faults.
        faults: of the federation, in the order in which they act.

    Returns:
        An aggregator whose `receive` adds the metric `copies` and refuses messages that are unreadable, not
        finite or stale; a trusting server refuses only unreadable ones. The aggregator itself if no fault
        acts on messages or on the server.
    """
    acting = [(place, fault) for place, fault in enumerate(faults) if fault.transmit]
    trusting = any(fault.trusting for fault in faults)
    if not acting and not trusting:
        return aggregator

    def init(message: Any, sites: int) -> FaultyState:
        memories = tuple(per_site(fault.init_memory(message), sites) for _, fault in acting)
        return FaultyState(memories, aggregator.init(message, sites))

    def transmit(
        state: FaultyState, site: Array, report: Report, key: jax.Array
    ) -> tuple[FaultyState, Arrival]:
        on_time, once = jnp.int32(0), jnp.int32(1)
        arrival = Arrival(report.message, report.weight, jnp.array(True), on_time, once)
        memories: list[Any] = []
        for (place, fault), memory in zip(acting, state.memories, strict=True):
            assert fault.transmit
            after, faulty = fault.transmit(
                take(memory, site), arrival, stream(key, f"spoil {place}")
            )
            arrival = where(is_struck(fault, place, site, key), faulty, arrival)
            memories.append(put(memory, site, after))
        return state._replace(memories=tuple(memories)), arrival

    def receive(
        state: FaultyState, site: Array, report: Report, key: jax.Array
    ) -> tuple[FaultyState, Metrics]:
        state, arrival = transmit(state, site, report, key)
        reasons = {
            "unreadable": ~arrival.readable,
            "not finite": ~all_finite((arrival.message, arrival.weight)),
            "stale": arrival.age > 0,
        }
        weight = arrival.weight
        if trusting:
            reasons = {"unreadable": reasons["unreadable"]}
            weight = weight * arrival.copies
        refused = jnp.select([*reasons.values()], [REFUSED.index(name) for name in reasons], 0)
        accepted = refused == 0
        inner = add_if(accepted, aggregator, state.inner, site, arrival.message, weight, key)
        metrics = {
            "weight": weight,
            "refused": jnp.float32(refused),
            "copies": jnp.float32(arrival.copies),
            "accepted": accepted,
        }
        return state._replace(inner=inner), metrics

    def add(
        state: FaultyState, site: Array, message: Any, weight: Array, key: jax.Array
    ) -> FaultyState:
        return state._replace(inner=aggregator.add(state.inner, site, message, weight, key))

    def finish(state: FaultyState) -> tuple[Any, FaultyState]:
        aggregate, inner = aggregator.finish(state.inner)
        return aggregate, state._replace(inner=inner)

    return Aggregator(init, add, finish, aggregator.payload, receive)
