"""Mime: local steps mimic the server's optimiser on the pooled data.

site s, each step:  x_s <- x_s + U(grad F_s(x_s) - grad F_s(x) + c, o)   o is applied, not updated
                    send (x_s - x, mean of the round's gradients at x) with weight n_s
server:             c <- mean(gradients at x),  o <- V(c, o),  x <- x + mean(x_s - x)

Karimireddy et al., "Breaking the Centralized Barrier for Cross-Device Federated Learning", NeurIPS 2021.
There c is the gradient at this round's x, which takes a second exchange per round. Here a round is one
exchange, and c is the previous round's; in the first, c is 0, and plain SGD does not move. This is stable
only up to a quarter to a thirtieth of the paper's learning rate.
"""

from typing import Any

import jax
import optax

from fl_jax.algorithms.fed_avg import ServerState
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report


def mime(
    loss: client.Loss, client_optimizer: optax.GradientTransformation, *, corrected: bool = True
) -> Algorithm:
    """Makes Mime.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the base optimiser: U is its update, V the update of its state. Sites apply it; the
            server has its state.
        corrected: whether to add c - grad F_s(x) to the gradient; False is MimeLite.

    Returns:
        The algorithm. A step computes two gradients with the same key. It minimises the mean over all
        examples, or with `weighting='equal'` the paper's mean over sites.
    """
    init, update = client_optimizer

    def apply(updates: Any, state: Any, params: Params | None = None) -> tuple[Any, Any]:
        return update(updates, state, params)[0], state

    def init_server(params: Params) -> ServerState:
        return ServerState(params, init(params), optax.tree.zeros_like(params) if corrected else ())

    def start(sent: ServerState, site: Any, key: jax.Array) -> client.Local:
        del site
        extra = sent.params, sent.extra, client.empty_mean(sent.params)
        return client.start(sent.params, sent.optimizer, key)._replace(extra=extra)

    def direction(local: client.Local, gradient: Params, batch: Batch, key: jax.Array) -> Any:
        x, c, running = local.extra
        at_x = jax.grad(loss)(x, batch, key)
        if corrected:
            gradient = optax.tree.add(optax.tree.sub(gradient, at_x), c)
        return gradient, (x, c, client.accumulate(running, at_x, batch.mask.sum()))

    def finish(sent: ServerState, site: Any, local: client.Local) -> tuple[Report, Any]:
        message = optax.tree.sub(local.params, sent.params), client.mean(local.extra[-1])
        return Report(message, local.examples, client.metrics(local)), site

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        del fraction
        moved, gradient = message
        _, optimizer = update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, moved)
        return ServerState(params, optimizer, gradient if corrected else ())

    step = client.gradient_step(loss, optax.GradientTransformation(init, apply), direction)
    clients = Client(start, step, finish)
    return Algorithm(init_server, lambda params: (), lambda server: server, clients, server)
