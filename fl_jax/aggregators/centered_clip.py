"""Centred clipping: each message's deviation from the last aggregate is clipped, then averaged.

v = the last round's aggregate;  repeat:  v <- v + mean_s (m_s - v) min(1, radius / ||m_s - v||)

Karimireddy, He and Jaggi, "Learning from History for Byzantine Robust Optimization", ICML 2021.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.messages import Messages, combine, empty, put, squared_distances
from fl_jax.core.types import Aggregator, Array


class Clipped(NamedTuple):
    """This round's messages and the last round's aggregate."""

    messages: Messages
    last: Any


def centered_clip(radius: float = 10.0, iterations: int = 5) -> Aggregator:
    """Makes centred clipping. The paper's worker momentum is `process(pre=ema(0.9, False), ...)` around it.

    Weights: unweighted, as in the paper; a message of weight zero counts as absent.

    Args:
        radius: > 0, in the message's unit, over the whole message: about how far honest messages lie from
            one another. Far above that nothing is clipped and the rule is the mean.
        iterations: clipping steps a round, at least 1. A round moves the aggregate by at most
            `radius * iterations`, and each of n sites by its n-th of that.

    Returns:
        The aggregator. The first round starts at zero. With no site the aggregate is zero, and the next
        round goes on from the last aggregate that there was.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not radius > 0:
        raise ValueError(f"radius={radius}: must be above 0")
    if iterations < 1:
        raise ValueError(f"iterations={iterations}: must be at least 1")

    def init(message: Any, sites: int) -> Clipped:
        return Clipped(empty(message, sites), optax.tree.zeros_like(message))

    def add(state: Clipped, site: Array, message: Any, weight: Array, key: jax.Array) -> Clipped:
        del key
        return state._replace(messages=put(state.messages, site, message, weight))

    def finish(state: Clipped) -> tuple[Any, Clipped]:
        messages, present = state.messages.message, state.messages.present
        n = jnp.maximum(present.sum(), 1)

        def step(_: Array, v: Any) -> Any:
            distance = jnp.sqrt(squared_distances(messages, v))
            share = jnp.where(present, radius / jnp.maximum(radius, distance), 0) / n
            return optax.tree.add(v, combine(jax.tree.map(jnp.subtract, messages, v), share))

        v = jax.lax.fori_loop(0, iterations, step, state.last)
        aggregate = jax.tree.map(lambda x: jnp.where(present.any(), x, 0), v)
        return aggregate, Clipped(optax.tree.zeros_like(state.messages), v)

    return Aggregator(init, add, finish)
