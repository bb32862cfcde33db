"""FedExP: FedAvg with a server step that grows with the disagreement of the sites' updates.

site s:  as FedAvg's;  d_s = x_s - x;  send (d_s, ||d_s||^2) with weight n_s
server:  d = sum_s n_s d_s / sum_s n_s,   eta = max(1, mean_s ||d_s||^2 / (2 (||d||^2 + epsilon)))
         x <- x + eta d                   mean_s with the weights n_s

Jhunjhunwala, Wang and Joshi, "FedExP: Speeding Up Federated Averaging via Extrapolation", ICLR 2023.
"""

from typing import Any

import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Params, Report


def fed_exp(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    epsilon: float = 1e-3,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedExP.

    The step of a round can be far too long: the paper evaluates the mean of the last two models. Here an
    average of models is `fl_jax.wrappers.ema`.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the optimiser of local training.
        epsilon: > 0, bounds the step where the mean update is small, in squared units of the parameters; a
            large one is FedAvg. The paper tunes it.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. n_s as in FedAvg; the paper's mean over sites is `weighting='equal'`.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon={epsilon}: must be above 0; a large one is FedAvg")
    base = fed_avg(loss, client_optimizer, keep_optimizer=keep_optimizer)

    def finish(x: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        report, after = base.client.finish(x, site, local)
        square = optax.tree.norm(report.message, squared=True)
        return report._replace(message=(report.message, square)), after

    def server(state: ServerState, message: tuple[Params, Array], fraction: Array) -> ServerState:
        update, square = message
        ratio = square / (2 * (optax.tree.norm(update, squared=True) + epsilon))
        return base.server(state, optax.tree.scale(jnp.maximum(1, ratio), update), fraction)

    return base._replace(client=base.client._replace(finish=finish), server=server)
