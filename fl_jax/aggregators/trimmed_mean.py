"""The trimmed mean: coordinate by coordinate, leave out the smallest and the largest, average the rest.

message[j] = mean of the sites' values m_s[j] without the k smallest and the k largest,  k = ceil(trim n)

Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import Messages, column, combine, gather, ordered
from fl_jax.core.types import Aggregator, Array


def trimmed_mean(trim: float = 0.2) -> Aggregator:
    """Makes the coordinate-wise trimmed mean.

    Weights: unweighted, as in the paper, so that a site cannot claim more than one vote; weight zero is
    no vote.

    Args:
        trim: the share of the sites that may be adversarial, in [0, 0.5). Of n sites present,
            k = ceil(trim n) are left out on each side, at most (n - 1) // 2. Where trim n is whole, this is
            the paper's; where it is not, rounding down would take nobody out of four sites at 0.2, and
            one absent site would silently end the protection of five.

    Returns:
        The aggregator. While at most k of the n sites present are adversarial, every coordinate lies
        between two honest values; 1 or 2 sites are averaged. With no site the aggregate is zero.

    Raises:
        ValueError: for a share outside [0, 0.5).
    """
    if not 0 <= trim < 0.5:
        raise ValueError(f"trim={trim}: must be in [0, 0.5); at 0.5 use median()")

    def rule(messages: Messages) -> Any:
        sites = messages.present.shape[0]
        # In float64 for every n beforehand: ceil(0.2 * 5) must be 1.
        cuts = [min(math.ceil(trim * n - 1e-9), max(n - 1, 0) // 2) for n in range(sites + 1)]
        n = messages.present.sum()
        k, rank = jnp.array(cuts)[n], jnp.arange(sites)
        kept = (rank >= k) & (rank < n - k)

        def middle(leaf: Array) -> Array:
            return jnp.where(column(kept, leaf), ordered(leaf, messages.present), 0)

        return combine(jax.tree.map(middle, messages.message), kept / jnp.maximum(n - 2 * k, 1))

    return gather(rule)
