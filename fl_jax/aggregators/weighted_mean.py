"""The weighted mean: what the server of FedAvg does with the sites' updates.

message = sum_s w_s m_s / sum_s w_s

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Aggregator, Array


class MeanState(NamedTuple):
    """The running sums of weighted messages and of weights."""

    total: Any
    weight: Array


def weighted_mean() -> Aggregator:
    """Makes the weighted mean of the participating sites' messages.

    Guarantees: memory does not grow with the number of sites. With no site, or a total weight of zero,
    the mean is zero: the server's model stays.
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
