"""Bulyan: Krum selects messages one by one, then each coordinate averages those nearest to its median.

select theta = n - 2f messages: repeatedly, Krum's among the remaining ones
aggregate[j] = mean of the beta = theta - 2f selected values nearest to their median

El Mhamdi, Guerraoui and Rouault, "The Hidden Vulnerability of Distributed Learning in Byzantium",
ICML 2018.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.krum import pairwise, scores
from fl_jax.aggregators.median import middle
from fl_jax.aggregators.messages import Messages, aggregate_by, expand, weighted_sum
from fl_jax.core.types import Aggregator, Array


def bulyan(byzantine: int | None = None) -> Aggregator:
    """Makes Bulyan over Krum. It keeps S messages and S^2 distances.

    Weights: ignored, as in the paper; a message of weight zero counts as absent.
    Ties between scores, as among the last selections for small f, go to the message nearest to all remaining.

    Args:
        byzantine: f, the number of sites that may be adversarial; None for as many as the n present sites
            allow: the largest f >= 0 with n >= 4f + 3. Below seven sites that is 0, the plain mean.

    Returns:
        The aggregator. If fewer than 4f + 3 sites are present, the aggregate is zero, and the model stays.

    Raises:
        ValueError: when `byzantine` is below 0; by `init`, for fewer than 4f + 3 sites.
    """
    if byzantine is not None and byzantine < 0:
        raise ValueError(
            f"byzantine={byzantine}: must be at least 0, or None for as many as possible"
        )

    def rule(messages: Messages) -> Any:
        n, distances = messages.present.sum(), pairwise(messages)
        f = jnp.maximum((n - 3) // 4, 0) if byzantine is None else byzantine
        theta, beta = n - 2 * f, n - 4 * f

        def select(count: Array, left: jax.Array) -> jax.Array:
            score = scores(distances, left, f)
            best = left & (score == score.min())
            total = jnp.where(left, distances, 0).sum(1)
            total = jnp.minimum(total, jnp.finfo(total.dtype).max)  # an overflow stays a candidate
            winner = jnp.argmin(jnp.where(best, total, jnp.inf))
            return left.at[winner].set(left[winner] & (count >= theta))

        left = jax.lax.fori_loop(0, len(messages.weight), select, messages.present)
        selected = messages.present & ~left

        def nearest(leaf: Array) -> Array:
            away = jnp.where(expand(selected, leaf), abs(leaf - middle(leaf, selected)), jnp.inf)
            return jnp.take_along_axis(leaf, jnp.argsort(away, axis=0), axis=0)

        counted = jnp.arange(len(messages.weight)) < beta
        values = jax.tree.map(nearest, messages.message)
        return weighted_sum(values, counted / jnp.maximum(beta, 1))

    least = 1 if byzantine is None else 4 * byzantine + 3
    return aggregate_by(rule, sites=least, present=least, setting=f"{byzantine=}")
