"""The coordinate-wise median.

aggregate[j] = median_s m_s[j]          (the mean of the two middle values for an even number of sites)

Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018.
"""

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import Messages, aggregate_by, sort_sites
from fl_jax.core.types import Aggregator, Array


def median() -> Aggregator:
    """Makes the coordinate-wise median. It keeps S messages.

    Weights: ignored, as in the paper, so that every site has one vote; weight zero is no vote.

    Guarantees: while fewer than half of the present sites are adversarial, every coordinate lies between two
    honest values.

    | present | aggregate |
    |---|---|
    | 0 | zero |
    | 1 | the message |
    | 2 | their mean: an adversary cannot be told from an honest site |

    >>> import jax
    >>> rule, key = median(), jax.random.key(0)
    >>> state = rule.init(jnp.zeros(2), 3)
    >>> for site, message in enumerate(([1.0, 5.0], [2.0, 6.0], [1e6, -1e6])):
    ...     state = rule.add(state, site, jnp.array(message), 1.0, key)
    >>> rule.finish(state)[0].tolist()
    [2.0, 5.0]
    """

    def rule(messages: Messages) -> Array:
        return jax.tree.map(lambda leaf: middle(leaf, messages.present), messages.message)

    return aggregate_by(rule)


def middle(leaf: Array, present: Array) -> Array:
    """The median of a leaf [S, ...] over the present sites; +inf without any."""
    values, last = sort_sites(leaf, present), jnp.maximum(present.sum() - 1, 0)
    return values[last // 2] / 2 + values[(last + 1) // 2] / 2
