"""An exponential moving average (EMA) of the server's models, for inference in place of the last model.

m_k <- m_(k-1) + a_k (x_k - m_(k-1)),   a_k = (1 - d) / (1 - d^k)       after the server's k-th update to x_k

The average is debiased: the initial model has no weight, and m_1 = x_1. Sites receive x, so training is
unchanged. A void round does not count as an update; a chained algorithm updates the server after every site.

Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 1992;
debiased as in Kingma and Ba, "Adam", ICLR 2015.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Algorithm, Array, Params
from fl_jax.wrappers.first import first_on_base


class EmaState(NamedTuple):
    """The algorithm's server state, its average, and k, int32[].

    The whole state is averaged, because a personal model may depend on more of it than `params`, such as
    cluster models. Integer leaves take their last value.
    """

    base: Any
    mean: Any
    updates: Array

    @property
    def params(self) -> Params:
        """The averaged model."""
        return self.mean.params


def ema(algorithm: Algorithm, decay: float) -> Algorithm:
    """Wraps an algorithm so that its global model is the EMA of the server's models.

    Args:
        algorithm: any. A personal model uses the averaged server state; site states are not averaged.
        decay: d in (0, 1); 0.9 averages about ten rounds.

    Returns:
        The algorithm. Its server stores two states; communication is unchanged.
    """
    if not 0 < decay < 1:
        raise ValueError(f"ema={decay}: must be above 0 and below 1, or 0 for none")

    def init_server(params: Params) -> EmaState:
        base = algorithm.init_server(params)
        return EmaState(base, base, jnp.int32(0))

    def server(state: EmaState, message: Any, fraction: Array) -> EmaState:
        new = algorithm.server(state.base, message, fraction)
        updates = state.updates + 1
        # expm1 keeps the digits that 1 - decay**updates loses.
        share = (decay - 1) / jnp.expm1(updates * math.log(decay))

        def average(x: Array, mean: Array) -> Any:
            if not jnp.issubdtype(x.dtype, jnp.inexact):
                return x
            return optax.incremental_update(x, mean, share)

        return EmaState(new, jax.tree.map(average, new, state.mean), updates)

    personal = algorithm.personal
    return algorithm._replace(
        init_server=init_server,
        first=first_on_base(algorithm),
        broadcast=lambda state: algorithm.broadcast(state.base),
        server=server,
        personal=personal and (lambda state, site: personal(state.mean, site)),
    )
