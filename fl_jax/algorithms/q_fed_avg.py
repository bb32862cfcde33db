"""q-FedAvg: weighs sites by the q-th power of their loss, for a fairer model.

site s:  d_s = F_s^q (x_s - x),  h_s = F_s^q + q L F_s^(q-1) ||x_s - x||^2,  F_s the loss of x on its data
         send (d_s, h_s) with weight n_s
server:  x <- x + sum_s n_s d_s / sum_s n_s h_s, which is the ratio of the weighted means

Li et al., "Fair Resource Allocation in Federated Learning", ICLR 2020, for the objective
sum_s n_s F_s^(q+1) / (q+1); its Delta_s and h_s are L times ours.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Client, Params, Report


def q_fed_avg(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    q: float = 1.0,
    lipschitz: float = 10.0,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes q-FedAvg.

    Args:
        loss: see `client.Loss`; must not be negative.
        client_optimizer: the optimiser of local training.
        q: >= 0; 0 is FedAvg, a large q approaches the worst site alone.
        lipschitz: > 0, L, an estimate of the gradient's Lipschitz constant; the paper uses 1 / (the learning
            rate that is best for q = 0).
        server_optimizer, keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. A step takes one more forward pass, for the loss of x. The objective weights sites by
        n_s, or with `weighting='equal'` equally.
    """
    if not q >= 0:
        raise ValueError(f"q={q}: must be at least 0; 0 is FedAvg")
    if not lipschitz > 0:
        raise ValueError(f"lipschitz={lipschitz}: must be above 0, e.g. 1 / (learning rate)")
    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        extra = params, client.empty_mean(jnp.zeros(()))
        return base.client.start(params, site, key)._replace(extra=extra)

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        report, site = base.client.finish(params, site, local)
        value = jnp.maximum(client.mean(local.extra[-1]), 1e-10)  # F^(q-1) stays finite at F = 0
        distance = optax.tree.norm(report.message, squared=True)
        h = value**q + q * lipschitz * value ** (q - 1) * distance
        return report._replace(message=(optax.tree.scale(value**q, report.message), h)), site

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        d, h = message
        return base.server(state, optax.tree.scale(1 / jnp.where(h > 0, h, 1), d), fraction)

    step = client.gradient_step(loss, client_optimizer, client.track_broadcast_loss(loss))
    return base._replace(client=Client(start, step, finish), server=server)
