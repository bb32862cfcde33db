"""The coordinate-wise median: each coordinate of the aggregate is the median of the sites' values.

message[j] = median_s m_s[j]          (the mean of the two middle values when their number is even)

Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018.
"""

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import Messages, gather, ordered
from fl_jax.core.types import Aggregator, Array


def median() -> Aggregator:
    """Makes the coordinate-wise median.

    Weights: unweighted, as in the paper, so that a site cannot claim more than one vote; weight zero is
    no vote.

    Guarantees: while fewer than half of the sites present are adversarial, every coordinate lies between
    two honest values. Memory is S messages. With no site the median is zero.

    | present | aggregate |
    |---|---|
    | 1 | its message |
    | 2 | their mean: neither can be told from an adversary |
    """

    def rule(messages: Messages) -> Array:
        return jax.tree.map(lambda leaf: middle(leaf, messages.present), messages.message)

    return gather(rule)


def middle(leaf: Array, present: Array) -> Array:
    """The median over the present sites of a leaf [S, ...]; with none +inf."""
    values, last = ordered(leaf, present), jnp.maximum(present.sum() - 1, 0)
    return values[last // 2] / 2 + values[(last + 1) // 2] / 2
