"""FedNova: an update is divided by how far its site went, so that a site of many steps pulls no harder.

site s:  x_s = local training from x;  a_s = ||weights of its gradients in x_s - x||_1, for SGD lr * steps
         send ((x_s - x) / a_s, a_s) with weight n_s
server:  x <- x + mean(a_s) mean((x_s - x) / a_s)

Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization",
NeurIPS 2020.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report


class Message(NamedTuple):
    """An update per unit of way, and the way."""

    rate: Params
    way: Array


def fed_nova(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_optimizer: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Makes FedNova.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the sites' optimiser, started afresh each round; the theory is for those that are
            linear in the gradients (SGD, momentum, schedules). a_s is measured: it is how far the
            optimiser takes a single number whose gradient is always 1. So Adam is normalised too, by the
            number of its steps; one that treats parameters by name (`optax.multi_transform`) cannot be.
        server_optimizer: see `fed_avg`.

    Returns:
        The algorithm. With equal sites its objective is the paper's; otherwise examples weigh. A site
        without a step sends zeros with weight zero.
    """
    base = fed_avg(loss, client_optimizer, server_optimizer=server_optimizer)

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        pace = (jnp.zeros(()), client_optimizer.init(jnp.zeros(())))
        return base.client.start(params, site, key)._replace(extra=pace)

    def direction(
        local: client.Local, gradient: Params, batch: Batch, key: jax.Array
    ) -> tuple[Params, Any]:
        del batch, key
        position, state = local.extra
        move, state = client_optimizer.update(jnp.ones(()), state, position)
        return gradient, (position + move, state)

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        report, site = base.client.finish(params, site, local)
        way = -local.extra[0]
        rate = optax.tree.scale(1 / jnp.where(way > 0, way, 1), report.message)
        return report._replace(message=Message(rate, way)), site

    def server(state: ServerState, message: Message, fraction: Array) -> ServerState:
        return base.server(state, optax.tree.scale(message.way, message.rate), fraction)

    step = client.gradient_step(loss, client_optimizer, direction)
    return base._replace(client=Client(start, step, finish), server=server)
