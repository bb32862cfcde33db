"""RFA: the geometric median, which minimises the weighted sum of distances to the messages.

aggregate = argmin_v sum_s w_s ||v - m_s||, by the smoothed Weiszfeld iteration:
b_s = w_s / max(smoothing, ||v - m_s||);   v <- sum_s b_s m_s / sum_s b_s

Pillutla, Kakade and Harchaoui, "Robust Aggregation for Federated Learning", IEEE TSP 2022.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.median import middle
from fl_jax.aggregators.messages import Messages, aggregate_by, squared_distances, weighted_sum
from fl_jax.core.types import Aggregator, Array


def geometric_median(iterations: int = 10, smoothing: float = 1e-6) -> Aggregator:
    """Makes the geometric median. It keeps S messages.

    Weights: used, as in the paper: the breakdown point is half of the total *weight*, so a site gains
    influence by overstating its number of examples. If that is a risk, use equal weights.

    Args:
        iterations: Weiszfeld iterations, at least 1; the paper uses 3. They start at the coordinate-wise
            median, which a huge message cannot move as it moves the mean.
        smoothing: > 0, in the message's unit; below this distance a message's pull stays constant.

    Returns:
        The aggregator. Distances are over the whole message. Without messages the aggregate is zero.
    """
    if iterations < 1:
        raise ValueError(f"iterations={iterations}: must be at least 1")
    if not smoothing > 0:
        raise ValueError(f"smoothing={smoothing}: must be above 0, such as 1e-6")

    def rule(messages: Messages) -> Any:
        def step(_: Array, v: Any) -> Any:
            distance = jnp.sqrt(squared_distances(messages.message, v))
            pull = messages.weight / jnp.maximum(smoothing, distance)
            total = pull.sum()  # 0 only if every distance overflowed
            share = pull / jnp.where(total > 0, total, 1)
            new = weighted_sum(messages.message, share)
            return jax.tree.map(lambda old, new: jnp.where(total > 0, new, old), v, new)

        start = jax.tree.map(lambda leaf: middle(leaf, messages.present), messages.message)
        return jax.lax.fori_loop(0, iterations, step, start)

    return aggregate_by(rule)
