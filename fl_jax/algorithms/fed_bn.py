"""FedBN: normalisation layers stay at their site, everything else is averaged as in FedAvg.

site s:  x_s = local training from (x, own_s);  send the shared part of x_s - x with weight n_s;  keep own_s
server:  x <- x + server_optimizer(-(mean of the shared parts))

Scanners differ in contrast and noise, which normalisation's scale and offset take up at each site. The
paper keeps BatchNorm's; with GroupNorm and LayerNorm it is their scale and offset.

Li et al., "FedBN: Federated Learning on Non-IID Features via Local Batch Normalization", ICLR 2021.
"""

import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm
from fl_jax.wrappers.keep_local import keep_local


def fed_bn(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    local: str = r"(Batch|Group|Instance|Layer|RMS)Norm",
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedBN.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the sites' optimiser.
        local: a regular expression for the names of the leaves that stay, see `keep_local.split`; the default
            finds Flax's normalisation layers.
        server_optimizer: as in FedAvg, for the shared leaves.
        keep_optimizer: as in FedAvg.

    Returns:
        The algorithm; see `keep_local` for what the server's `params` is then worth.

    Raises:
        ValueError: when `local` is no regular expression; by `init_server` and `init_site` when it finds
            none or all of a model's leaves.
    """
    return keep_local(
        fed_avg(
            loss,
            client_optimizer,
            server_optimizer=server_optimizer,
            keep_optimizer=keep_optimizer,
        ),
        local,
    )
