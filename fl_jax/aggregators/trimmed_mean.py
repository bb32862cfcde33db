"""The coordinate-wise trimmed mean: the mean without the k smallest and the k largest values.

aggregate[j] = mean of the values m_s[j] without the k smallest and the k largest,  k = ceil(trim n)

Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import Messages, aggregate_by, expand, sort_sites, weighted_sum
from fl_jax.core.types import Aggregator, Array


def trimmed_mean(trim: float = 0.2) -> Aggregator:
    """Makes the coordinate-wise trimmed mean. It keeps S messages.

    Weights: ignored, as in the paper, so that every site has one vote; weight zero is no vote.

    Guarantees: while at most k of the n present sites are adversarial, every coordinate lies between two
    honest values.

    Args:
        trim: the fraction of sites that may be adversarial, in [0, 0.5). k = ceil(trim n), at most
            (n - 1) // 2. The paper needs an integer trim n; rounding down would trim nothing from four sites
            at 0.2, so that one absent site would silently end the protection of five.

    Returns:
        The aggregator. One or two sites are averaged; without any the aggregate is zero.
    """
    if not 0 <= trim < 0.5:
        raise ValueError(f"trim={trim}: must lie in [0, 0.5); for 0.5 use median()")

    def rule(messages: Messages) -> Any:
        sites = messages.present.shape[0]
        # For every n, in float64: ceil(0.2 * 5) must be 1.
        cuts = [min(math.ceil(trim * n - 1e-9), max(n - 1, 0) // 2) for n in range(sites + 1)]
        n = messages.present.sum()
        k, rank = jnp.array(cuts)[n], jnp.arange(sites)
        kept = (rank >= k) & (rank < n - k)

        def trimmed(leaf: Array) -> Array:
            return jnp.where(expand(kept, leaf), sort_sites(leaf, messages.present), 0)

        values = jax.tree.map(trimmed, messages.message)
        return weighted_sum(values, kept / jnp.maximum(n - 2 * k, 1))

    return aggregate_by(rule)
