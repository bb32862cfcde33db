"""A secure sum: sites send fixed-point integers under masks that cancel in the sum, exactly.

site s:  y_s = round(2^b w_s m_s) + sum_{r > s} P_sr - sum_{r < s} P_rs  mod 2^32;  the same for w_s
server:  sum_s y_s, less the random masks P towards dropouts, = 2^b sum_s w_s m_s;  over 2^b sum_s w_s

Simulates the arithmetic of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine
Learning", CCS 2017. Deployed, a server that keeps to it and colludes with nobody learns the sums and whose
they are. No protection from: this process, which draws all P from one seed (no key agreement, no secret
sharing); what sums tell (of one site, its message; of two rounds, a difference); a server that calls a site
dropped whose y_s it has (no second mask), or that has all sites but one on its side; a site's nonsense.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Aggregator, Array


class Sums(NamedTuple):
    """Masked uint32 sums of messages and of weights, whose they are, whether all fitted, the round."""

    total: Any
    here: jax.Array
    sound: Array
    round: Array


def secure_sum(limit: float = 4096.0, seed: int = 0) -> Aggregator:
    """Makes the weighted mean of fixed-point messages through a secure sum; memory is one message.

    A site beyond the limit, or whose weight is below a step, makes the aggregate NaN: neither a wrapped
    sum nor a mean without that site may pass for the answer. Raise the limit, or clip with `process`.

    Args:
        limit: of every weight and |weight * value|, > 0, else ValueError; steps of 2^-b, where
            b = 30 - ceil(log2(S limit)), so that no sum of S sites wraps around.
        seed: of the masks, S a site; the aggregate is the same, bit for bit, whatever it is.
    """
    if not 0 < limit < math.inf:
        raise ValueError(f"limit={limit}: must be above 0 and finite")

    def masked(y: Any, one: Array, towards: Array, round: Array) -> Any:
        def add_mask(other: Array, y: Any) -> Any:
            pair = jnp.minimum(one, other) * len(towards) + jnp.maximum(one, other)
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), round), pair)
            sign = jnp.where(towards[other], jnp.sign(other - one), 0).astype(jnp.uint32)
            return optax.tree.add_scale(y, sign, optax.tree.random_like(key, y, jax.random.bits))

        return jax.lax.fori_loop(0, len(towards), add_mask, y)

    def init(message: Any, sites: int) -> Sums:
        total = optax.tree.zeros_like((message, jnp.float32(0)), jnp.uint32)
        return Sums(total, jnp.zeros(sites, bool), jnp.array(True), jnp.int32(0))

    def add(state: Sums, site: Array, message: Any, weight: Array, key: jax.Array) -> Sums:
        step = 2.0 ** (math.ceil(math.log2(len(state.here) * limit)) - 30)
        values = optax.tree.scale(weight, message), weight
        fits = [(abs(v) <= limit).all() for v in jax.tree.leaves(values)]
        sound = state.sound & jnp.array(fits).all() & ((weight >= step) | (weight == 0))
        y = jax.tree.map(lambda v: jnp.int32(jnp.round(v / step)).astype(jnp.uint32), values)
        total = optax.tree.add(state.total, masked(y, site, jnp.ones_like(state.here), state.round))
        return Sums(total, state.here.at[site].set(True), sound, state.round)

    def finish(state: Sums) -> tuple[Any, Sums]:
        def restore(one: Array, y: Any) -> Any:  # what a dropout would have added cancels the rest
            return jax.lax.cond(here[one], lambda: y, lambda: masked(y, one, here, round))

        y, here, sound, round = state
        y = jax.lax.fori_loop(0, len(here), restore, y)
        total, weight = jax.tree.map(lambda t: t.astype(jnp.int32).astype(jnp.float32), y)
        divisor = jnp.where(sound, jnp.where(weight > 0, weight, 1), jnp.nan)
        mean = jax.tree.map(lambda t: t / divisor, total)
        return mean, init(mean, len(here))._replace(round=round + 1)

    return Aggregator(init, add, finish, lambda message: 4 * optax.tree.size(message))
