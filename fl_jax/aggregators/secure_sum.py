"""Secure summation: sites send fixed-point integers under pairwise masks that cancel exactly in the sum.

site s:  y_s = round(2^b w_s m_s) + sum_{r > s} P_sr - sum_{r < s} P_rs  mod 2^32;  the same for w_s
server:  sum_s y_s, less the masks P towards dropouts, = 2^b sum_s w_s m_s;  divided by 2^b sum_s w_s

Simulates the arithmetic of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine
Learning", CCS 2017. When deployed, an honest-but-curious server that colludes with nobody learns the sums and
who contributed. This simulation protects against nothing: one process draws all P from one seed, without key
agreement or secret sharing. The protocol itself does not protect against what sums reveal (with one site, its
message; between two rounds, a difference); without its second mask, against a server that declares a site
dropped after receiving y_s; against a server that colludes with all sites but one; or against bad messages.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Aggregator, Array


class SumState(NamedTuple):
    """Masked uint32 sums of messages and weights, who contributed, whether all were in range, the round."""

    total: Any
    here: jax.Array
    in_range: Array
    round: Array


def secure_sum(limit: float = 4096.0, seed: int = 0) -> Aggregator:
    """Makes the weighted mean of fixed-point messages through a secure sum. It keeps one message.

    If a site exceeds `limit`, or its weight is below one step, the aggregate is NaN, because neither a
    wrapped sum nor a mean without that site is the right answer. Raise `limit`, or clip with `process`.

    Args:
        limit: > 0, of every weight and |weight * value|. The step is 2^-b with b = 30 - ceil(log2(S limit)),
            so that no sum of S sites wraps around.
        seed: of the masks, S per site; the aggregate does not depend on it, bit for bit.
    """
    if not 0 < limit < math.inf:
        raise ValueError(f"limit={limit}: must be above 0 and finite")

    def masked(y: Any, one: Array, towards: Array, number: Array) -> Any:
        def add_mask(other: Array, y: Any) -> Any:
            pair = jnp.minimum(one, other) * len(towards) + jnp.maximum(one, other)
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), number), pair)
            sign = jnp.where(towards[other], jnp.sign(other - one), 0).astype(jnp.uint32)
            return optax.tree.add_scale(y, sign, optax.tree.random_like(key, y, jax.random.bits))

        return jax.lax.fori_loop(0, len(towards), add_mask, y)

    def init(message: Any, sites: int) -> SumState:
        total = optax.tree.zeros_like((message, jnp.float32(0)), jnp.uint32)
        return SumState(total, jnp.zeros(sites, bool), jnp.array(True), jnp.int32(0))

    def add(state: SumState, site: Array, message: Any, weight: Array, key: jax.Array) -> SumState:
        step = 2.0 ** (math.ceil(math.log2(len(state.here) * limit)) - 30)
        values = optax.tree.scale(weight, message), weight
        fits = [(abs(v) <= limit).all() for v in jax.tree.leaves(values)]
        in_range = state.in_range & jnp.array(fits).all() & ((weight >= step) | (weight == 0))
        y = jax.tree.map(lambda v: jnp.int32(jnp.round(v / step)).astype(jnp.uint32), values)
        total = optax.tree.add(state.total, masked(y, site, jnp.ones_like(state.here), state.round))
        return SumState(total, state.here.at[site].set(True), in_range, state.round)

    def finish(state: SumState) -> tuple[Any, SumState]:
        def restore(one: Array, y: Any) -> Any:  # a dropout would have added what cancels the rest
            return jax.lax.cond(here[one], lambda: y, lambda: masked(y, one, here, number))

        y, here, in_range, number = state
        y = jax.lax.fori_loop(0, len(here), restore, y)
        total, weight = jax.tree.map(lambda t: t.astype(jnp.int32).astype(jnp.float32), y)
        divisor = jnp.where(in_range, jnp.where(weight > 0, weight, 1), jnp.nan)
        mean = jax.tree.map(lambda t: t / divisor, total)
        return mean, init(mean, len(here))._replace(round=number + 1)

    return Aggregator(init, add, finish, lambda message: 4 * optax.tree.size(message))
