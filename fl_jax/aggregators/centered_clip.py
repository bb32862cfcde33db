"""Centred clipping: averages the messages' deviations from the last aggregate, each clipped in norm.

v = the previous round's aggregate;  repeat:  v <- v + mean_s (m_s - v) min(1, radius / ||m_s - v||)

Karimireddy, He and Jaggi, "Learning from History for Byzantine Robust Optimization", ICML 2021.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.messages import (
    Messages,
    empty_messages,
    squared_distances,
    store,
    weighted_sum,
)
from fl_jax.core.types import Aggregator, Array


class ClipState(NamedTuple):
    """This round's messages, and the previous aggregate."""

    messages: Messages
    last: Any


def centered_clip(radius: float = 10.0, iterations: int = 5) -> Aggregator:
    """Makes centred clipping; add the paper's worker momentum with `process(pre=ema(0.9, False), ...)`.

    Weights: ignored, as in the paper; a message of weight zero counts as absent.

    Args:
        radius: > 0, in the message's unit, over the whole message: about the distance between honest
            messages. With a much larger one nothing is clipped, and the rule is the mean.
        iterations: clipping steps per round, at least 1. A round moves the aggregate by at most
            `radius * iterations`, and one of n sites moves it by at most 1/n of that.

    Returns:
        The aggregator. The first round starts at zero. Without messages the aggregate is zero, and the next
        round continues from the previous aggregate.
    """
    if not radius > 0:
        raise ValueError(f"radius={radius}: must be above 0")
    if iterations < 1:
        raise ValueError(f"iterations={iterations}: must be at least 1")

    def init(message: Any, sites: int) -> ClipState:
        return ClipState(empty_messages(message, sites), optax.tree.zeros_like(message))

    def add(
        state: ClipState, site: Array, message: Any, weight: Array, key: jax.Array
    ) -> ClipState:
        del key
        return state._replace(messages=store(state.messages, site, message, weight))

    def finish(state: ClipState) -> tuple[Any, ClipState]:
        messages, present = state.messages.message, state.messages.present
        n = jnp.maximum(present.sum(), 1)

        def step(_: Array, v: Any) -> Any:
            distance = jnp.sqrt(squared_distances(messages, v))
            share = jnp.where(present, radius / jnp.maximum(radius, distance), 0) / n
            return optax.tree.add(v, weighted_sum(jax.tree.map(jnp.subtract, messages, v), share))

        v = jax.lax.fori_loop(0, iterations, step, state.last)
        aggregate = jax.tree.map(lambda x: jnp.where(present.any(), x, 0), v)
        return aggregate, ClipState(optax.tree.zeros_like(state.messages), v)

    return Aggregator(init, add, finish)
