"""FedNova: normalises updates by the amount of local work, so that sites with many steps do not dominate.

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
    """The normalised update (x_s - x) / a_s, and a_s."""

    update: Params
    work: Array


def fed_nova(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    server_optimizer: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Makes FedNova.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training, reset each round. The theory covers optimisers that are linear in
            the gradients (SGD, momentum, schedules). a_s is measured: the distance that the optimiser moves a
            scalar whose gradient is always 1. Adam is thus normalised by its number of steps, which takes
            away the pull of sites with many. But its first steps are as long as its rate, whatever the
            gradient: with few steps a round it rests near the weighted median of the sites' minima, in each
            coordinate, not at the optimum. Optimisers that select parameters by name
            (`optax.multi_transform`) do not work.
        server_optimizer: see `fed_avg`.

    Returns:
        The algorithm. The means are over examples, the paper's p_i = n_i / n, or with `weighting='equal'`
        over sites. A site without steps sends zeros with weight zero.
    """
    base = fed_avg(loss, client_optimizer, server_optimizer=server_optimizer)

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        probe = (jnp.zeros(()), client_optimizer.init(jnp.zeros(())))
        return base.client.start(params, site, key)._replace(extra=probe)

    def direction(
        local: client.Local, gradient: Params, batch: Batch, key: jax.Array
    ) -> tuple[Params, Any]:
        del batch, key
        position, state = local.extra
        move, state = client_optimizer.update(jnp.ones(()), state, position)
        return gradient, (position + move, state)

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        report, site = base.client.finish(params, site, local)
        work = -local.extra[0]
        update = optax.tree.scale(1 / jnp.where(work > 0, work, 1), report.message)
        return report._replace(message=Message(update, work)), site

    def server(state: ServerState, message: Message, fraction: Array) -> ServerState:
        return base.server(state, optax.tree.scale(message.work, message.update), fraction)

    step = client.gradient_step(loss, client_optimizer, direction)
    return base._replace(client=Client(start, step, finish), server=server)
