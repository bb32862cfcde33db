"""FedAvgM: FedAvg with momentum at the server.

server:  v <- momentum v + D,  x <- x + server_lr v          (D: FedAvg's mean update; v starts at 0)

Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification", 2019; server_lr as in Reddi et al., "Adaptive Federated Optimization", ICLR 2021.
"""

import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm


def fed_avgm(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_lr: float = 1.0,
    momentum: float = 0.9,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedAvgM, `fed_avg(server_optimizer=sgd(server_lr, momentum))`.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; SGD in the paper.
        server_lr: > 0; a lasting update moves the server by server_lr / (1 - momentum) of it per round.
        momentum: in [0, 1); 0 is FedAvg.
        keep_optimizer: see `fed_avg`.
    """
    if not server_lr > 0:
        raise ValueError(f"server_lr={server_lr}: must be above 0")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}: must lie in [0, 1); 0 is fed_avg")
    optimizer = optax.sgd(server_lr, momentum=momentum)
    return fed_avg(
        loss, client_optimizer, server_optimizer=optimizer, keep_optimizer=keep_optimizer
    )
