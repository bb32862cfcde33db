"""FedAvg: sites train the global model locally; the server moves it by the mean of their updates.

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
    """The global model, the server optimiser's state, and the additional state of derived algorithms."""

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
        client_optimizer: the optimiser of local training.
        server_optimizer: receives the negative mean update as a pseudo-gradient; None for `optax.sgd(1.0)`,
            the plain mean.
        keep_optimizer: whether sites keep their optimiser's state, such as Adam's moments, between rounds.
            False resets it, as McMahan 2017 does. True suits a few sites that participate in every round;
            over one site it is plain training.

    Returns:
        The algorithm. n_s are site s' examples in the round; with `weighting='equal'` they are 1, see
        `fl_jax.core.weighting`.

    >>> import numpy as np
    >>> from fl_jax.core.types import Batch
    >>> loss = lambda params, batch, key: (batch.mask * (params - batch.inputs) ** 2).sum() / batch.mask.sum()
    >>> algorithm = fed_avg(loss, optax.sgd(0.5))
    >>> local = algorithm.client.start(np.float32(3.0), (), jax.random.key(0))
    >>> local = algorithm.client.step(local, Batch(np.ones(2), np.ones(2), np.ones(2)))
    >>> report, _ = algorithm.client.finish(np.float32(3.0), (), local)
    >>> float(report.message), float(report.weight)  # the update, and the number of examples
    (-2.0, 2.0)
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
        state = local.optimizer if keep_optimizer else site
        return Report(update, local.examples, client.metrics(local)), state

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        del fraction
        pseudo_gradient = optax.tree.scale(-1.0, message)
        updates, optimizer = outer.update(pseudo_gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, optimizer=optimizer)

    step = client.gradient_step(loss, client_optimizer)
    return Algorithm(init_server, init_site, broadcast, Client(start, step, finish), server)
