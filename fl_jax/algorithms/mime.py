"""Mime: local steps mimic the server's optimiser on the pooled data.

site s, first:      send grad F_s(x), the mean over the round's batches, with weight n_s
server:             c <- mean(grad F_s(x))
site s, each step:  x_s <- x_s + U(grad F_s(x_s) - grad F_s(x) + c, o)   o is applied, not updated
                    send x_s - x with weight n_s
server:             o <- V(c, o),  x <- x + mean(x_s - x)

No step can be taken before every site's gradient is there: a round has two exchanges, see `Algorithm.first`.

Karimireddy et al., "Breaking the Centralized Barrier for Cross-Device Federated Learning", NeurIPS 2021.
"""

from typing import Any

import jax
import optax

from fl_jax.algorithms.fed_avg import ServerState
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report


def mime(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    corrected: bool = True,
    stale: bool = False,
) -> Algorithm:
    """Makes Mime.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the base optimiser: U is its update, V the update of its state. Sites apply it; the
            server has its state.
        corrected: whether to add c - grad F_s(x) to the gradient; False is MimeLite, which needs c only after
            the steps, and so a single exchange.
        stale: whether c is the last round's, which saves the first exchange. In the first round it is 0, and
            plain SGD does not move. It is stable at far lower learning rates: of three quadratics with
            curvatures 0.5, 1 and 2, with 5 local steps, up to 1/3 of the rate without `stale`, with momentum
            0.5 up to 1/10, with 0.9 up to 1/27; with 20 steps up to 1/11, 1/31 and 1/83.

    Returns:
        The algorithm. A step computes two gradients with the same key, and the first exchange one per batch.
        It minimises the mean over all examples, or with `weighting='equal'` the paper's mean over sites. c is
        of the round's participants, as in the paper.
    """
    init, update = client_optimizer
    two = corrected and not stale

    def apply(updates: Any, state: Any, params: Params | None = None) -> tuple[Any, Any]:
        return update(updates, state, params)[0], state

    def init_server(params: Params) -> ServerState:
        return ServerState(params, init(params), optax.tree.zeros_like(params) if corrected else ())

    def start(sent: ServerState, site: Any, key: jax.Array) -> client.Local:
        del site
        extra = sent.params, sent.extra, () if two else client.empty_mean(sent.params)
        return client.start(sent.params, sent.optimizer, key)._replace(extra=extra)

    def direction(local: client.Local, gradient: Params, batch: Batch, key: jax.Array) -> Any:
        x, c, running = local.extra
        at_x = jax.grad(loss)(x, batch, key)
        if corrected:
            gradient = optax.tree.add(optax.tree.sub(gradient, at_x), c)
        if not two:
            running = client.accumulate(running, at_x, batch.mask.sum())
        return gradient, (x, c, running)

    def finish(sent: ServerState, site: Any, local: client.Local) -> tuple[Report, Any]:
        moved = optax.tree.sub(local.params, sent.params)
        message = moved if two else (moved, client.mean(local.extra[-1]))
        return Report(message, local.examples, client.metrics(local)), site

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        del fraction
        moved, gradient = (message, state.extra) if two else message
        _, optimizer = update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, moved)
        return ServerState(params, optimizer, gradient if corrected else ())

    step = client.gradient_step(loss, optax.GradientTransformation(init, apply), direction)
    clients = Client(start, step, finish)
    algorithm = Algorithm(init_server, lambda params: (), lambda server: server, clients, server)
    return algorithm._replace(first=_gather(algorithm, loss) if two else None)


def _gather(algorithm: Algorithm, loss: client.Loss) -> Algorithm:
    """The exchange that makes c."""

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        del site
        return client.start(params, (), key)._replace(extra=client.empty_mean(params))

    def direction(local: client.Local, gradient: Params, batch: Batch, key: jax.Array) -> Any:
        del key
        return gradient, client.accumulate(local.extra, gradient, batch.mask.sum())

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        del params
        return Report(client.mean(local.extra), local.examples, client.metrics(local)), site

    step = client.gradient_step(loss, optax.set_to_zero(), direction)  # x stays where it is
    return algorithm._replace(
        broadcast=lambda server: server.params,
        client=Client(start, step, finish),
        server=lambda state, message, fraction: state._replace(extra=message),
    )
