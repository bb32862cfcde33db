"""Top-k sparsification with error feedback: a site sends the largest values, and adds the rest next time.

p = m + e;   send c = the k entries of p of largest |p|, zero elsewhere;   e <- p - c          (e: error)

Stich, Cordonnier and Jaggi, "Sparsified SGD with Memory", NeurIPS 2018; Karimireddy et al., "Error Feedback
Fixes SignSGD and other Gradient Compression Schemes", ICML 2019.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.compression import compressed_bytes, inner_aggregator
from fl_jax.core.trees import per_site, put, take
from fl_jax.core.types import Aggregator, Array


class TopKState(NamedTuple):
    """The values that each site has not sent yet, with leaves [S, ...] (or `()`), and the inner state."""

    error: Any
    inner: Any


def top_k(
    share: float = 0.1, error_feedback: bool = True, aggregate: Aggregator | None = None
) -> Aggregator:
    """Makes an aggregator that receives sparse messages; weights are not compressed.

    Args:
        share: the fraction of every array's values that is sent, in (0, 1]; k = ceil(share size), so scalars
            are always sent.
        error_feedback: adds the values that were left out to the site's next message, however long the site
            is absent. It keeps S messages. Without it, small values may never arrive.
        aggregate: receives the sparse messages; None for `weighted_mean()`.

    Returns:
        The aggregator. A site sends k values and k indices of ceil(log2 size) bits per array, or all values
        if that is shorter.

    Raises:
        ValueError: when `share` is out of range, or `aggregate` compresses, too.

    >>> import jax
    >>> rule, key = top_k(share=0.5), jax.random.key(0)
    >>> state = rule.init(jnp.zeros(2), 1)
    >>> sent, state = rule.finish(rule.add(state, 0, jnp.array([3.0, 2.0]), 1.0, key))
    >>> sent.tolist(), state.error.tolist()
    ([3.0, 0.0], [[0.0, 2.0]])
    >>> rule.finish(rule.add(state, 0, jnp.array([3.0, 2.0]), 1.0, key))[0].tolist()  # 2 + 2 > 3
    [0.0, 4.0]
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: must lie in (0, 1]")
    after = inner_aggregator(aggregate, compresses=True)

    def sparse(p: Array) -> Array:
        flat = p.reshape(-1)
        at = jax.lax.top_k(abs(flat), _count(share, p.size))[1]
        return jnp.zeros_like(flat).at[at].set(flat[at]).reshape(p.shape)

    def init(message: Any, sites: int) -> TopKState:
        error = per_site(optax.tree.zeros_like(message), sites) if error_feedback else ()
        return TopKState(error, after.init(message, sites))

    def add(
        state: TopKState, site: Array, message: Any, weight: Array, key: jax.Array
    ) -> TopKState:
        p, error = message, state.error
        if error_feedback:
            p = optax.tree.add(message, take(error, site))
        c = jax.tree.map(sparse, p)
        if error_feedback:
            error = put(error, site, optax.tree.sub(p, c))
        return TopKState(error, after.add(state.inner, site, c, weight, key))

    def finish(state: TopKState) -> tuple[Any, TopKState]:
        aggregate, inner_state = after.finish(state.inner)
        return aggregate, state._replace(inner=inner_state)

    def bits(size: int) -> int:
        return min(_count(share, size) * (32 + (size - 1).bit_length()), 32 * size)

    return Aggregator(init, add, finish, compressed_bytes(bits))


def _count(share: float, size: int) -> int:
    return math.ceil(share * size - 1e-9)  # ceil(0.07 * 100) must be 7
