"""Krum: takes the message that its nearest neighbours vouch for; Multi-Krum averages the best few.

score(s) = sum of ||m_s - m_r||^2 over the n - f - 2 messages r nearest to s        (f adversarial sites)
message  = mean of the `keep` messages of least score

Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import Messages, combine, gather, squared_distances
from fl_jax.core.types import Aggregator, Array


def krum(byzantine: int | None = None, keep: int = 1) -> Aggregator:
    """Makes Krum (`keep=1`) or Multi-Krum.

    Weights: unweighted, as in the paper; a message of weight zero counts as absent.
    Ties: tied messages share the places left, so that the order of the sites does not matter; the paper
    takes the lowest number. (Of three sites the two nearest to each other always tie.)

    Args:
        byzantine: f, how many sites may be adversarial; None for the most that the n sites present allow,
            the largest f >= 0 with n >= 2f + 3 and n >= f + 2 + keep.
        keep: how many messages are averaged, from 1 to n - f - 2.

    Returns:
        The aggregator. With f given and too few sites present for it, the aggregate is zero: the promise
        cannot be kept, and the model stays. With None f is 0 then, and up to `keep` are averaged.

    Raises:
        ValueError: for `byzantine` below 0 or `keep` below 1; at `init` for fewer sites than they need.
    """
    if byzantine is not None and byzantine < 0:
        raise ValueError(
            f"byzantine={byzantine}: must be at least 0, or None for the most possible"
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
        return combine(messages.message, places / jnp.maximum(places.sum(), 1))

    f = byzantine or 0
    sites = 1 if (byzantine, keep) == (None, 1) else max(2 * f + 3, f + 2 + keep)
    least = 1 if byzantine is None else sites
    return gather(rule, sites=sites, present=least, setting=f"{byzantine=}, {keep=}")


def pairwise(messages: Messages) -> Array:
    """Squared distances float32[S, S] between messages, over all leaves."""
    return jax.lax.map(lambda one: squared_distances(messages.message, one), messages.message)


def scores(distances: Array, among: Array, byzantine: Array | int) -> Array:
    """Krum's scores float32[S] among the sites marked in bool[S]; +inf for the others."""
    sites = among.shape[0]
    others = among & ~jnp.eye(sites, dtype=bool)
    nearest = jnp.sort(jnp.where(others, distances, jnp.inf), axis=1)
    vouching = jnp.arange(sites) < among.sum() - byzantine - 2
    return jnp.where(among, jnp.where(vouching, nearest, 0).sum(1), jnp.inf)
