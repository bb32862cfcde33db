"""FedDyn: a dynamic regulariser moves each site's minimum to that of the federation.

site s:  x_s = local training from x on  F_s(x_s) + alpha/2 ||x_s - x + h_s||^2
         h_s <- h_s + x_s - x;  send x_s - x with weight n_s
server:  h <- h + fraction mean(x_s - x),  x <- x + mean(x_s - x) + h

Acar et al., "Federated Learning Based on Dynamic Regularization", ICLR 2021; its h_k and h are -alpha
times ours, which have the parameters' unit and need no division by alpha.
"""

from typing import Any

import jax
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.algorithms.fed_prox import fed_prox
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Params, Report


def fed_dyn(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    alpha: float = 0.01,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedDyn.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; it receives the gradient with the regulariser.
        alpha: >= 0. 0 is FedAvg: there is no regulariser, and h, in the paper 0 / 0, is omitted. A small
            alpha is not close to FedAvg: sites train almost as FedAvg's do, but the server still adds h.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. It minimises the mean over all examples, or with `weighting='equal'` the paper's mean
        over sites; under partial participation, too, since h stays the weighted mean of the h_s, see
        `core.weighting`.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha={alpha}: must be at least 0; 0 is FedAvg")
    if alpha == 0:
        return fed_avg(loss, client_optimizer, keep_optimizer=keep_optimizer)
    base = fed_prox(loss, client_optimizer, mu=alpha, keep_optimizer=keep_optimizer)

    def init_server(params: Params) -> ServerState:
        return base.init_server(params)._replace(extra=optax.tree.zeros_like(params))

    def init_site(params: Params) -> tuple[Any, Params]:
        return base.init_site(params), optax.tree.zeros_like(params)

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        optimizer, h_s = site
        center = optax.tree.sub(params, h_s)  # FedProx has x here
        return base.client.start(params, optimizer, key)._replace(extra=center)

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        optimizer, h_s = site
        report, optimizer = base.client.finish(params, optimizer, local)
        return report, (optimizer, optax.tree.add(h_s, report.message))

    def server(state: ServerState, message: Params, fraction: Array) -> ServerState:
        h = optax.tree.add_scale(state.extra, fraction, message)
        return base.server(state, optax.tree.add(message, h), fraction)._replace(extra=h)

    clients = base.client._replace(start=start, finish=finish)
    return Algorithm(init_server, init_site, base.broadcast, clients, server)
