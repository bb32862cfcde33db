"""Top-k: a site sends the largest values of every array; what it leaves out it adds to the next message.

p = m + e;   send c = the k entries of p of largest |p|, zero elsewhere;   e <- p - c          (e: error)

Stich, Cordonnier and Jaggi, "Sparsified SGD with Memory", NeurIPS 2018; Karimireddy et al., "Error Feedback
Fixes SignSGD and other Gradient Compression Schemes", ICML 2019.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.messages import inner, payload
from fl_jax.core.trees import per_site
from fl_jax.core.types import Aggregator, Array


class Unsent(NamedTuple):
    """What each site has not sent yet, every leaf [S, ...] (or nothing), and the inner state."""

    error: Any
    inner: Any


def top_k(
    share: float = 0.1, error_feedback: bool = True, aggregate: Aggregator | None = None
) -> Aggregator:
    """Makes an aggregator whose messages arrive with most values left out; weights are passed on.

    Args:
        share: of every array's values that is sent, in (0, 1]; k = ceil(share size): a scalar arrives.
        error_feedback: keep what is left out, S messages of memory, for the site's next message; it stays
            while the site is absent. Without it small values may never arrive.
        aggregate: takes the sparse messages; None for `weighted_mean()`.

    Returns:
        The aggregator. A site sends k values and k indices of an array, in ceil(log2 size) bits, or all
        values where that is less.

    Raises:
        ValueError: for a share out of range, or an inner aggregator that compresses too.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: must be in (0, 1]")
    after = inner(aggregate, compresses=True)

    def sparse(p: Array) -> Array:
        flat = p.reshape(-1)
        at = jax.lax.top_k(abs(flat), _count(share, p.size))[1]
        return jnp.zeros_like(flat).at[at].set(flat[at]).reshape(p.shape)

    def init(message: Any, sites: int) -> Unsent:
        error = per_site(optax.tree.zeros_like(message), sites) if error_feedback else ()
        return Unsent(error, after.init(message, sites))

    def add(state: Unsent, site: Array, message: Any, weight: Array, key: jax.Array) -> Unsent:
        p, error = message, state.error
        if error_feedback:
            p = jax.tree.map(lambda m, e: m + e[site], message, error)
        c = jax.tree.map(sparse, p)
        if error_feedback:
            error = jax.tree.map(lambda e, p, c: e.at[site].set(p - c), error, p, c)
        return Unsent(error, after.add(state.inner, site, c, weight, key))

    def finish(state: Unsent) -> tuple[Any, Unsent]:
        aggregate, held = after.finish(state.inner)
        return aggregate, state._replace(inner=held)

    def bits(size: int) -> int:
        return min(_count(share, size) * (32 + (size - 1).bit_length()), 32 * size)

    return Aggregator(init, add, finish, payload(bits))


def _count(share: float, size: int) -> int:
    return math.ceil(share * size - 1e-9)  # ceil(0.07 * 100) must be 7
