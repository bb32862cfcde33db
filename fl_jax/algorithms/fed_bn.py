"""FedBN: normalisation layers stay local; all other layers are averaged as in FedAvg.

site s:  (x_s, norm_s) <- local training from (x, norm_s);  send x_s - x with weight n_s;  keep norm_s
server:  x <- x + server_optimizer(-(sum_s n_s (x_s - x) / sum_s n_s))

Scanners differ in contrast and noise; local scales and offsets absorb that. The paper keeps BatchNorm local;
here it is any normalisation layer's scale and offset.

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
        client_optimizer: the optimiser of local training.
        local: a regular expression for the names of the local leaves, see `keep_local.split`; the default
            matches Flax's normalisation layers.
        server_optimizer: see `fed_avg`; for the shared leaves.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm; see `keep_local` for the meaning of the server's `params`.

    Raises:
        ValueError: when `local` is no regular expression; by `init_server` and `init_site` when it finds
            none or all of a model's leaves.
    """
    return keep_local(
        fed_avg(
            loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
        ),
        local,
    )
