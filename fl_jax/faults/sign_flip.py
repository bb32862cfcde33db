"""Sign flipping: adversarial sites send the opposite of what they learned, the simplest Byzantine fault.

a flipped site sends  -scale m_s  in the place of its message m_s

Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from Heterogeneous
Datasets", AAAI 2019.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.types import Aggregator, Array


def sign_flip(aggregator: Aggregator, sites: Sequence[int], *, scale: float = 1.0) -> Aggregator:
    """Makes an aggregator that hears some sites with the sign flipped.

    Between sites, whatever acts on what a site sends is an aggregator: so the fault goes with every
    algorithm, which cannot know of it, and with every layout.

    Args:
        aggregator: what the messages go to.
        sites: indices in 0..S-1 of those that flip; all arrays of their messages, not their weights.
        scale: > 0, how many times as large the flipped message is.

    Returns:
        The aggregator; its `init` raises ValueError for a site that the federation does not have.

    Raises:
        ValueError: when `scale` is not positive, or a site is negative.
    """
    if not scale > 0:
        raise ValueError(f"scale={scale}: must be above 0; leave the fault out for honest sites")
    if min(sites, default=0) < 0:
        raise ValueError(f"sites={tuple(sites)}: must be indices from 0")

    def init(message: Any, federation: int) -> Any:
        if max(sites, default=-1) >= federation:
            raise ValueError(f"sites={tuple(sites)}: the federation has sites 0..{federation - 1}")
        return aggregator.init(message, federation)

    def add(state: Any, site: Array, message: Any, weight: Array, key: jax.Array) -> Any:
        flips = (site == np.array(sites, int)).any()
        factor = jnp.where(flips, -scale, 1.0)
        sent = jax.tree.map(lambda x: (factor * x).astype(x.dtype), message)
        return aggregator.add(state, site, sent, weight, key)

    return aggregator._replace(init=init, add=add)
