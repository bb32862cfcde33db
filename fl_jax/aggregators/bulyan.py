"""Bulyan: Krum picks messages one by one, then each coordinate averages those nearest to its median.

pick theta = n - 2f messages: Krum's among those left, again and again
message[j] = mean of the beta = theta - 2f picked values nearest to the picked values' median

El Mhamdi, Guerraoui and Rouault, "The Hidden Vulnerability of Distributed Learning in Byzantium",
ICML 2018.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.krum import pairwise, scores
from fl_jax.aggregators.median import middle
from fl_jax.aggregators.messages import Messages, column, combine, gather
from fl_jax.core.types import Aggregator, Array


def bulyan(byzantine: int | None = None) -> Aggregator:
    """Makes Bulyan over Krum.

    Weights: unweighted, as in the paper; a message of weight zero counts as absent.
    Ties between scores (the last picks for small f) go to the message nearest to all that are left.

    Args:
        byzantine: f, how many sites may be adversarial; None for the most that the n sites present allow,
            the largest f >= 0 with n >= 4f + 3. Below seven sites that is 0, and the rule is the plain
            mean.

    Returns:
        The aggregator. With f given and fewer than 4f + 3 sites present the aggregate is zero: the
        promise cannot be kept, and the model stays.

    Raises:
        ValueError: for `byzantine` below 0; at `init` for fewer sites than 4f + 3.
    """
    if byzantine is not None and byzantine < 0:
        raise ValueError(
            f"byzantine={byzantine}: must be at least 0, or None for the most possible"
        )

    def rule(messages: Messages) -> Any:
        n, distances = messages.present.sum(), pairwise(messages)
        f = jnp.maximum((n - 3) // 4, 0) if byzantine is None else byzantine
        theta, beta = n - 2 * f, n - 4 * f

        def pick(count: Array, left: jax.Array) -> jax.Array:
            score = scores(distances, left, f)
            best = left & (score == score.min())
            whole = jnp.where(left, distances, 0).sum(1)
            whole = jnp.minimum(whole, jnp.finfo(whole.dtype).max)  # an overflow stays a candidate
            winner = jnp.argmin(jnp.where(best, whole, jnp.inf))
            return left.at[winner].set(left[winner] & (count >= theta))

        left = jax.lax.fori_loop(0, len(messages.weight), pick, messages.present)
        picked = messages.present & ~left

        def nearest(leaf: Array) -> Array:
            away = jnp.where(column(picked, leaf), abs(leaf - middle(leaf, picked)), jnp.inf)
            return jnp.take_along_axis(leaf, jnp.argsort(away, axis=0), axis=0)

        counted = jnp.arange(len(messages.weight)) < beta
        return combine(jax.tree.map(nearest, messages.message), counted / jnp.maximum(beta, 1))

    least = 1 if byzantine is None else 4 * byzantine + 3
    return gather(rule, sites=least, present=least, setting=f"{byzantine=}")
