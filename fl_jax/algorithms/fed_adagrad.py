"""FedAdagrad: FedAvg whose server divides each parameter's step by the root of its summed squared updates.

D: FedAvg's mean update;  m <- b1 m + (1 - b1) D,  v <- v + D^2     (m starts at 0, v at tau^2)
server:  x <- x + server_lr m / (sqrt(v) + tau)

Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2.
"""

import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.server_optimizers import adaptive
from fl_jax.core import client
from fl_jax.core.types import Algorithm


def fed_adagrad(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_lr: float = 0.1,
    b1: float = 0.0,
    tau: float = 1e-3,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedAdagrad.

    Args:
        loss, client_optimizer, tau, keep_optimizer: see `fed_adam`.
        server_lr: > 0, about how far a parameter moves in the first round, and 1 / sqrt(t) of it in round t.
        b1: in [0, 1), the decay of the first moment; 0, the paper's choice, is none.

    Returns:
        The algorithm. It differs from `fed_avg(server_optimizer=adagrad(server_lr))`: optax starts v at 0.1,
        adds its eps inside the root and nothing outside, and has no first moment.
    """
    optimizer = adaptive(lambda v, square: v + square, server_lr=server_lr, b1=b1, tau=tau)
    return fed_avg(
        loss, client_optimizer, server_optimizer=optimizer, keep_optimizer=keep_optimizer
    )
