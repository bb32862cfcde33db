"""The mean of the server's models over its last rounds, which is used in the place of the last one.

m_k <- m_(k-1) + a_k (x_k - m_(k-1)),   a_k = (1 - d) / (1 - d^k)       after the server's k-th move to x_k

This is an exponential moving average without the weight of the initial model: m_1 = x_1. Sites are sent x,
and train as without it. A void round is no move; a chained algorithm's server moves after every site.

Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 1992;
debiased as in Kingma and Ba, "Adam", ICLR 2015.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Algorithm, Array, Params


class Averaged(NamedTuple):
    """The algorithm's server state, its mean, and k, int32[].

    The whole state is averaged, as a site's own model may be made of more than `params`, e.g. of clusters;
    what is not floating-point is the last one's.
    """

    base: Any
    mean: Any
    moves: Array

    @property
    def params(self) -> Params:
        """The mean's model, which is the one to use."""
        return self.mean.params


def averaged(algorithm: Algorithm, decay: float) -> Algorithm:
    """Makes an algorithm's global model, and what personal models have of it, the mean.

    Args:
        algorithm: any; what sites keep to themselves is not averaged.
        decay: d in (0, 1); 0.9 is the mean of some ten rounds.

    Returns:
        The algorithm. Its server keeps two states; nothing more is sent.

    Raises:
        ValueError: when `decay` is out of range.
    """
    if not 0 < decay < 1:
        raise ValueError(f"ema={decay}: must be above 0 and below 1, or 0 for none")

    def init_server(params: Params) -> Averaged:
        base = algorithm.init_server(params)
        return Averaged(base, base, jnp.int32(0))

    def server(state: Averaged, message: Any, fraction: Array) -> Averaged:
        new = algorithm.server(state.base, message, fraction)
        moves = state.moves + 1
        share = (decay - 1) / jnp.expm1(
            moves * math.log(decay)
        )  # of 1 - decay**moves little is left

        def mean(x: Array, m: Array) -> Any:
            return (
                optax.incremental_update(x, m, share) if jnp.issubdtype(x.dtype, jnp.inexact) else x
            )

        return Averaged(new, jax.tree.map(mean, new, state.mean), moves)

    own = algorithm.personal
    return algorithm._replace(
        init_server=init_server,
        broadcast=lambda state: algorithm.broadcast(state.base),
        server=server,
        personal=own and (lambda state, site: own(state.mean, site)),
    )
