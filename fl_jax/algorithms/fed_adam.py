"""FedAdam: FedAvg whose server takes Adam's step along the mean update, without bias correction.

D: FedAvg's mean update;  m <- b1 m + (1 - b1) D,  v <- b2 v + (1 - b2) D^2     (m starts at 0, v at tau^2)
server:  x <- x + server_lr m / (sqrt(v) + tau)

Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2.
"""

import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.server_optimizers import adaptive
from fl_jax.core import client
from fl_jax.core.types import Algorithm


def fed_adam(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_lr: float = 0.01,
    b1: float = 0.9,
    b2: float = 0.99,
    tau: float = 1e-3,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedAdam.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; SGD in the paper.
        server_lr: > 0, about how far a parameter moves in a round.
        b1, b2: in [0, 1), the decays of the moments; the defaults are the paper's.
        tau: > 0, in the unit of an update: parameters with far smaller updates move less than `server_lr`.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. It differs from `fed_avg(server_optimizer=adam(server_lr, b1, b2, eps=tau))`: optax
        starts v at 0 and divides m by 1 - b1^t and v by 1 - b2^t in round t. Without that, with these decays
        and equal updates far above tau, steps grow from 1 to 2.1 times `server_lr` in round 13, and return.
    """
    optimizer = adaptive(
        lambda v, square: b2 * v + (1 - b2) * square, server_lr=server_lr, b1=b1, b2=b2, tau=tau
    )
    return fed_avg(
        loss, client_optimizer, server_optimizer=optimizer, keep_optimizer=keep_optimizer
    )
