"""FedAvg: each site trains the global model on its own data, the server moves by the mean of the updates.

site s:  x_s = local training from x on site s' batches;  send x_s - x with weight n_s
server:  x <- x + server_optimizer(-(sum_s n_s (x_s - x) / sum_s n_s))     (sgd(1): x <- mean of x_s)

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017;
server optimisers: Reddi et al., "Adaptive Federated Optimization", ICLR 2021.
"""

from typing import Any, NamedTuple

import jax
import optax

from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Client, Params, Report


class ServerState(NamedTuple):
    """The global model, the state of the server's optimiser, and what an algorithm built on this one adds."""

    params: Params
    optimizer: Any
    extra: Any = ()


def fed_avg(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedAvg.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the sites' optimiser.
        server_optimizer: acts on the negative mean update as on a gradient; None for `optax.sgd(1.0)`,
            which is the plain mean.
        keep_optimizer: whether a site keeps its optimiser's state (Adam's moments) from round to round,
            as hospitals that take part in every round can, and as the study does; then one site alone
            is plain training. False starts it afresh each round, as in the paper of 2017.

    Returns:
        The algorithm.
    """
    outer = optax.sgd(1.0) if server_optimizer is None else server_optimizer

    def init_server(params: Params) -> ServerState:
        return ServerState(params, outer.init(params))

    def init_site(params: Params) -> Any:
        return client_optimizer.init(params) if keep_optimizer else ()

    def broadcast(server: ServerState) -> Params:
        return server.params

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        return client.start(params, site if keep_optimizer else client_optimizer.init(params), key)

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        update = optax.tree.sub(local.params, params)
        kept = local.optimizer if keep_optimizer else site
        return Report(update, local.examples, client.metrics(local)), kept

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        del fraction
        pseudo_gradient = optax.tree.scale(-1.0, message)
        updates, optimizer = outer.update(pseudo_gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, optimizer=optimizer)

    step = client.gradient_step(loss, client_optimizer)
    return Algorithm(init_server, init_site, broadcast, Client(start, step, finish), server)
