"""SCAFFOLD: control variates correct every local step for the difference between site and federation.

site s, each step:  x_s <- x_s - lr (grad F_s(x_s) - c_s + c)
afterwards:         c_s+ = mean of the round's gradients, option 1: at x, option 2: at the local iterates
                    send (x_s - x, c_s+ - c_s) with weight n_s;  c_s <- c_s+
server:             x <- x + server_lr mean(x_s - x),  c <- c + fraction mean(c_s+ - c_s)

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020. Its
option 2, c_s - c + (x - x_s) / (K lr), equals that mean for plain SGD; the mean works for any optimiser.
"""

from typing import Any

import jax
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report


def scaffold(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    client_lr: float | None = None,
    option: int = 2,
    server_lr: float = 1.0,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes SCAFFOLD.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; it receives the corrected gradient.
        client_lr: > 0, replaces `client_optimizer` by plain SGD, as in the paper.
        option: 1 computes a second gradient per step, at x; 2 costs nothing more.
        server_lr: > 0; 1 is the plain mean.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. A site without steps keeps its c_s. It minimises the mean over all examples, or with
        `weighting='equal'` the paper's mean over sites; under partial participation, too, since c stays the
        weighted mean of the c_s, see `core.weighting`.
    """
    if option not in (1, 2):
        raise ValueError(f"option={option}: must be 1 or 2")
    for name, value in {"client_lr": client_lr, "server_lr": server_lr}.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name}={value}: must be above 0")
    inner = client_optimizer if client_lr is None else optax.sgd(client_lr)
    outer, zeros = optax.sgd(server_lr), optax.tree.zeros_like
    base = fed_avg(loss, inner, server_optimizer=outer, keep_optimizer=keep_optimizer)

    def start(sent: Any, site: Any, key: jax.Array) -> client.Local:
        (params, c), (optimizer, c_s) = sent, site
        x = params if option == 1 else ()
        extra = optax.tree.sub(c, c_s), x, client.empty_mean(params)
        return base.client.start(params, optimizer, key)._replace(extra=extra)

    def direction(local: client.Local, gradient: Params, batch: Batch, key: jax.Array) -> Any:
        correction, x, running = local.extra
        measured = jax.grad(loss)(x, batch, key) if option == 1 else gradient
        running = client.accumulate(running, measured, batch.mask.sum() if option == 1 else 1.0)
        return optax.tree.add(gradient, correction), (correction, x, running)

    def finish(sent: Any, site: Any, local: client.Local) -> tuple[Report, Any]:
        (params, _), (optimizer, c_s), running = sent, site, local.extra[-1]
        report, optimizer = base.client.finish(params, optimizer, local)
        new = optax.tree.where(running.weight > 0, client.mean(running), c_s)
        return report._replace(message=(report.message, optax.tree.sub(new, c_s))), (optimizer, new)

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        c = optax.tree.add_scale(state.extra, fraction, message[1])
        return base.server(state, message[0], fraction)._replace(extra=c)

    return Algorithm(
        lambda params: base.init_server(params)._replace(extra=zeros(params)),
        lambda params: (base.init_site(params), zeros(params)),
        lambda server: (server.params, server.extra),
        Client(start, client.gradient_step(loss, inner, direction), finish),
        server,
    )
