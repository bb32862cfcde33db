"""Optax transformations before and after an aggregator: on each message, and on the aggregate.

aggregate = post(aggregate_s(pre_s(m_s)))          pre_s: one transformation with one state per site

For example, `process(pre=clip_by_global_norm(1.0), post=add_noise(0.01, 0.0, 0))` clips and adds noise:
McMahan et al., "Learning Differentially Private Recurrent Language Models", ICLR 2018.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.compression import inner_aggregator
from fl_jax.core.keys import stream
from fl_jax.core.trees import per_site, put, take
from fl_jax.core.types import Aggregator, Array


class ProcessState(NamedTuple):
    """States of pre (leaves [S, ...]), the aggregator and post; the round's key; whether a site was added."""

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
    """Makes an aggregator with transformations on its messages and on its aggregate, but not on weights.

    Args:
        pre: transforms each message; None for nothing. A site's state changes when the site participates.
        aggregate: any aggregator; None for `weighted_mean()`.
        post: transforms the aggregate; None for nothing.

    Returns:
        The aggregator. PRNG keys in a transformation's state, such as the seed of `add_noise`, are replaced
        by keys of the round and site, so that no two sites, rounds or runs share noise. Without messages the
        aggregate is zero, without noise, and the state of `post` stays.
    """
    if not all(isinstance(part, optax.GradientTransformation | None) for part in (pre, post)):
        raise ValueError(f"{pre=}, {post=}: must be optax transformations, or None")
    before, after = pre or optax.identity(), post or optax.identity()
    middle = inner_aggregator(aggregate, compresses=False)

    def init(message: Any, sites: int) -> ProcessState:
        states = per_site(before.init(message), sites), middle.init(message, sites)
        return ProcessState(*states, after.init(message), jax.random.key(0), jnp.array(False))

    def add(
        state: ProcessState, site: Array, message: Any, weight: Array, key: jax.Array
    ) -> ProcessState:
        pre_state = _with_key(take(state.pre, site), stream(key, "pre"))
        message, pre_state = before.update(message, pre_state)
        pre_states = put(state.pre, site, pre_state)
        inner_state = middle.add(state.inner, site, message, weight, stream(key, "inner"))
        return ProcessState(
            pre_states, inner_state, state.post, stream(key, "post"), jnp.array(True)
        )

    def finish(state: ProcessState) -> tuple[Any, ProcessState]:
        aggregate, inner_state = middle.finish(state.inner)
        message, post_state = after.update(aggregate, _with_key(state.post, state.key))
        message = optax.tree.where(state.added, message, optax.tree.zeros_like(message))
        post_state = optax.tree.where(state.added, post_state, state.post)
        state = state._replace(inner=inner_state, post=post_state, added=jnp.array(False))
        return message, state

    return Aggregator(init, add, finish, middle.payload)


def _with_key(state: Any, key: jax.Array) -> Any:
    """Replaces every PRNG key in a state."""

    def one(x: Array, fresh: jax.Array) -> Array:
        return fresh if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x

    return jax.tree.map(one, state, optax.tree.split_key_like(key, state))
