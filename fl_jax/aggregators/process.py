"""Optax transformations on either side of an aggregator: on what each site sends, and on the aggregate.

message = post(aggregate_s(pre_s(m_s)))          pre_s: one transformation, one state a site

E.g. `process(pre=clip_by_global_norm(1.0), post=add_noise(0.01, 0.0, 0))`, clipping and noise: McMahan et
al., "Learning Differentially Private Recurrent Language Models", ICLR 2018.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.messages import inner
from fl_jax.core.keys import stream
from fl_jax.core.trees import per_site
from fl_jax.core.types import Aggregator, Array


class Parts(NamedTuple):
    """States of pre (leaves [S, ...]), the inner aggregator and post; the round's key; any site added."""

    pre: Any
    inner: Any
    post: Any
    key: jax.Array
    added: Array


def process(
    pre: optax.GradientTransformation | None = None,
    aggregate: Aggregator | None = None,
    post: optax.GradientTransformation | None = None,
) -> Aggregator:
    """Makes an aggregator whose messages and whose aggregate pass through transformations; weights do not.

    Args:
        pre: acts on each site's message, or None; its state changes when the site takes part.
        aggregate: any aggregator; None for `weighted_mean()`.
        post: acts on the aggregate, or None.

    Returns:
        The aggregator. Typed keys inside a transformation's state (the seed of `add_noise`) are
        replaced by the round's, so that neither two sites nor two runs share their noise. With no site
        the aggregate is zero, without noise, and post's state stays. A wrong part raises ValueError.
    """
    if not all(isinstance(part, optax.GradientTransformation | None) for part in (pre, post)):
        raise ValueError(f"{pre=}, {post=}: must be optax transformations, or None")
    before, after = pre or optax.identity(), post or optax.identity()
    middle = inner(aggregate, compresses=False)

    def init(message: Any, sites: int) -> Parts:
        states = per_site(before.init(message), sites), middle.init(message, sites)
        return Parts(*states, after.init(message), jax.random.key(0), jnp.array(False))

    def add(state: Parts, site: Array, message: Any, weight: Array, key: jax.Array) -> Parts:
        own = _keyed(jax.tree.map(lambda x: x[site], state.pre), stream(key, "pre"))
        message, own = before.update(message, own)
        kept = jax.tree.map(lambda all, one: all.at[site].set(one), state.pre, own)
        held = middle.add(state.inner, site, message, weight, stream(key, "inner"))
        return Parts(kept, held, state.post, stream(key, "post"), jnp.array(True))

    def finish(state: Parts) -> tuple[Any, Parts]:
        aggregate, held = middle.finish(state.inner)
        message, done = after.update(aggregate, _keyed(state.post, state.key))
        message = optax.tree.where(state.added, message, optax.tree.zeros_like(message))
        done = optax.tree.where(state.added, done, state.post)
        return message, state._replace(inner=held, post=done, added=jnp.array(False))

    return Aggregator(init, add, finish, middle.payload)


def _keyed(state: Any, key: jax.Array) -> Any:
    def one(x: Array, fresh: jax.Array) -> Array:
        return fresh if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x

    return jax.tree.map(one, state, optax.tree.split_key_like(key, state))
