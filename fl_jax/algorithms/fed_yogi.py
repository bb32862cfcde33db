"""FedYogi: FedAdam whose second moment forgets large updates slowly.

D: FedAvg's mean update;  m <- b1 m + (1 - b1) D,  v <- v - (1 - b2) D^2 sign(v - D^2)
server:  x <- x + server_lr m / (sqrt(v) + tau)                                   (m starts at 0, v at tau^2)

Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2.
"""

import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.server_optimizers import adaptive
from fl_jax.core import client
from fl_jax.core.types import Algorithm


def fed_yogi(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_lr: float = 0.01,
    b1: float = 0.9,
    b2: float = 0.99,
    tau: float = 1e-3,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedYogi.

    Args:
        loss, client_optimizer, server_lr, b1, b2, tau, keep_optimizer: see `fed_adam`.

    Returns:
        The algorithm. It differs from `fed_avg(server_optimizer=yogi(server_lr, b1, b2, eps=tau))`: optax
        starts both moments at 1e-6, even the first, and corrects their bias as its Adam does.
    """
    optimizer = adaptive(
        lambda v, square: v - (1 - b2) * square * jnp.sign(v - square),
        server_lr=server_lr,
        b1=b1,
        b2=b2,
        tau=tau,
    )
    return fed_avg(
        loss, client_optimizer, server_optimizer=optimizer, keep_optimizer=keep_optimizer
    )
