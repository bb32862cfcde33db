"""Krum selects the message nearest to its neighbours; Multi-Krum averages the best few.

score(s) = sum of ||m_s - m_r||^2 over the n - f - 2 messages r nearest to s        (f adversarial sites)
aggregate = mean of the `keep` messages with the lowest scores

Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import Messages, aggregate_by, squared_distances, weighted_sum
from fl_jax.core.types import Aggregator, Array


def krum(byzantine: int | None = None, keep: int = 1) -> Aggregator:
    """Makes Krum (`keep=1`) or Multi-Krum. It keeps S messages and S^2 distances.

    Weights: ignored, as in the paper; a message of weight zero counts as absent.
    Ties: tied messages are averaged, so that the order of the sites does not matter; the paper selects the
    lowest index. (Of three sites the two nearest to each other always tie.)

    Args:
        byzantine: f, the number of sites that may be adversarial; None for as many as the n present sites
            allow: the largest f >= 0 with n >= 2f + 3 and n >= f + 2 + keep.
        keep: the number of messages to average, from 1 to n - f - 2.

    Returns:
        The aggregator. If too few sites are present for `byzantine`, the aggregate is zero, and the model
        stays. With None, f is then 0, and up to `keep` messages are averaged.

    Raises:
        ValueError: when `byzantine` is below 0 or `keep` below 1; by `init`, for fewer sites than they need.
    """
    if byzantine is not None and byzantine < 0:
        raise ValueError(
            f"byzantine={byzantine}: must be at least 0, or None for as many as possible"
        )
    if keep < 1:
        raise ValueError(f"keep={keep}: must be at least 1")

    def rule(messages: Messages) -> Any:
        present = messages.present
        n = present.sum()
        most = jnp.maximum(jnp.minimum((n - 3) // 2, n - 2 - keep), 0)
        score = scores(pairwise(messages), present, most if byzantine is None else byzantine)
        better = (present & (score < score[:, None])).sum(1)
        tied = (present & (score == score[:, None])).sum(1)
        places = jnp.clip((keep - better) / jnp.maximum(tied, 1), 0, 1)
        places = jnp.where(present, places, 0)
        return weighted_sum(messages.message, places / jnp.maximum(places.sum(), 1))

    f = byzantine or 0
    sites = 1 if (byzantine, keep) == (None, 1) else max(2 * f + 3, f + 2 + keep)
    least = 1 if byzantine is None else sites
    return aggregate_by(rule, sites=sites, present=least, setting=f"{byzantine=}, {keep=}")


def pairwise(messages: Messages) -> Array:
    """Squared distances between the messages, over all leaves: float32[S, S]."""
    return jax.lax.map(lambda one: squared_distances(messages.message, one), messages.message)


def scores(distances: Array, among: Array, byzantine: Array | int) -> Array:
    """Krum's scores among the sites marked in bool[S]: float32[S], +inf for the others."""
    sites = among.shape[0]
    others = among & ~jnp.eye(sites, dtype=bool)
    nearest = jnp.sort(jnp.where(others, distances, jnp.inf), axis=1)
    neighbours = jnp.arange(sites) < among.sum() - byzantine - 2
    return jnp.where(among, jnp.where(neighbours, nearest, 0).sum(1), jnp.inf)
