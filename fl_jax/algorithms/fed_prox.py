"""FedProx: FedAvg with a proximal term that keeps local models near the global one.

site s:  x_s = local training from x on  F_s(x_s) + mu/2 ||x_s - x||^2;  send x_s - x with weight n_s
server:  as FedAvg's

Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020.
"""

from typing import Any

import jax
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Batch, Params


def fed_prox(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    mu: float = 0.01,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedProx.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; it receives the gradient with the proximal term.
        mu: >= 0, the weight of the proximal term; 0 is FedAvg.
        server_optimizer, keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. The metric `loss` excludes the proximal term.
    """
    if not mu >= 0:
        raise ValueError(f"mu={mu}: must be at least 0; 0 is FedAvg")
    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        return base.client.start(params, site, key)._replace(extra=params)

    def direction(
        local: client.Local, gradient: Params, batch: Batch, key: jax.Array
    ) -> tuple[Params, Params]:
        del batch, key
        sent = local.extra
        return optax.tree.add_scale(gradient, mu, optax.tree.sub(local.params, sent)), sent

    step = client.gradient_step(loss, client_optimizer, direction)
    return base._replace(client=base.client._replace(start=start, step=step))
