"""The weighted mean, FedAvg's aggregation.

aggregate = sum_s w_s m_s / sum_s w_s

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Aggregator, Array


class MeanState(NamedTuple):
    """The sum of weighted messages, and the sum of weights."""

    total: Any
    weight: Array


def weighted_mean() -> Aggregator:
    """Makes the weighted mean.

    Guarantees: memory does not grow with S. Without messages, or with a total weight of zero, the aggregate
    is zero, and the server's model stays.

    >>> import jax
    >>> mean, key = weighted_mean(), jax.random.key(0)
    >>> state = mean.init(jnp.zeros(2), 2)
    >>> state = mean.add(state, 0, jnp.array([0.0, 4.0]), 3.0, key)
    >>> state = mean.add(state, 1, jnp.array([4.0, 0.0]), 1.0, key)
    >>> mean.finish(state)[0].tolist()
    [1.0, 3.0]
    """

    def init(message: Any, sites: int) -> MeanState:
        del sites
        return MeanState(optax.tree.zeros_like(message), jnp.zeros(()))

    def add(
        state: MeanState, site: Array, message: Any, weight: Array, key: jax.Array
    ) -> MeanState:
        del site, key
        total = optax.tree.add_scale(state.total, weight, message)
        return MeanState(total, state.weight + weight)

    def finish(state: MeanState) -> tuple[Any, MeanState]:
        divisor = jnp.where(state.weight > 0, state.weight, 1)
        mean = jax.tree.map(lambda t: t / divisor.astype(t.dtype), state.total)
        return mean, init(state.total, 0)

    return Aggregator(init, add, finish)
