"""FedPer: the head stays local, the body is averaged as in FedAvg; both are trained together.

site s:  (x_s, head_s) <- local training from (x, head_s);  send x_s - x with weight n_s;  keep head_s
server:  x <- x + server_optimizer(-(sum_s n_s (x_s - x) / sum_s n_s))

Arivazhagan et al., "Federated Learning with Personalization Layers", arXiv:1912.00818, 2019.
"""

import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm
from fl_jax.wrappers.keep_local import keep_local


def fed_per(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    local: str = r"^Dense_\d+/",
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedPer.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the optimiser of local training.
        local: a regular expression for the names of the head's leaves, see `keep_local.split`; the default
            matches the top-level dense layers of a Flax network. For a network of dense layers alone,
            name the last one, e.g. `'^Dense_2/'`.
        server_optimizer: see `fed_avg`; for the body.
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
