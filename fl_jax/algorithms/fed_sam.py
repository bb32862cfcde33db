"""FedSAM: FedAvg with sharpness-aware local steps, which favour flat minima.

site s, each step:  g = grad F_s(x_s),  x_s <- x_s + optimizer(grad F_s(x_s + rho g / ||g||))
                    send x_s - x with weight n_s
server:             as FedAvg's

Qu et al., "Generalized Federated Learning via Sharpness Aware Minimization", ICML 2022.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Batch, Params


def fed_sam(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    rho: float = 0.05,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedSAM.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the optimiser of local training.
        rho: >= 0, the radius of the perturbation, in the norm over all parameters; 0 is FedAvg.
        server_optimizer, keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. A step computes two gradients with the same key. The metric `loss`, and the moments for
        BatchNorm running statistics, are those of the unperturbed model.
    """
    if not rho >= 0:
        raise ValueError(f"rho={rho}: must be at least 0; 0 is FedAvg")

    def direction(
        local: client.Local, gradient: Params, batch: Batch, key: jax.Array
    ) -> tuple[Params, Any]:
        norm = optax.tree.norm(gradient)
        offset = optax.tree.scale(rho / jnp.where(norm > 0, norm, 1), gradient)
        return jax.grad(loss)(optax.tree.add(local.params, offset), batch, key), local.extra

    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )
    step = client.gradient_step(loss, client_optimizer, direction)
    return base._replace(client=base.client._replace(step=step))
