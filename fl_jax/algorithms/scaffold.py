"""SCAFFOLD: a site knows how its gradient differs from everybody's, and takes that out of each step.

site s, each step:  x_s <- x_s - lr (grad F_s(x_s) - c_s + c)
afterwards:         c_s+ = mean of the round's gradients, option 1: at x, option 2: at the x_s on the way
                    send (x_s - x, c_s+ - c_s) with weight n_s;  c_s <- c_s+
server:             x <- x + server_lr mean(x_s - x),  c <- c + fraction mean(c_s+ - c_s)

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020. Its
option 2, c_s - c + (x - x_s) / (K lr), is that mean for plain SGD; as a mean it suits any optimiser.
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
        client_optimizer: the sites' optimiser; it sees the corrected gradient.
        client_lr: > 0, for plain SGD at this rate, the paper's, in the place of `client_optimizer`.
        option: 1 takes a second gradient a step, at x; 2 costs nothing more.
        server_lr: > 0, the server's step; 1 is the plain mean.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. With equal sites its objective is the paper's; otherwise examples weigh. A site
        without a step keeps its c_s.

    Raises:
        ValueError: when an argument is out of range.
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
        correction, x, gathered = local.extra
        seen = jax.grad(loss)(x, batch, key) if option == 1 else gradient
        gathered = client.accumulate(gathered, seen, batch.mask.sum() if option == 1 else 1.0)
        return optax.tree.add(gradient, correction), (correction, x, gathered)

    def finish(sent: Any, site: Any, local: client.Local) -> tuple[Report, Any]:
        (params, _), (optimizer, c_s), gathered = sent, site, local.extra[-1]
        report, optimizer = base.client.finish(params, optimizer, local)
        new = optax.tree.where(gathered.weight > 0, client.mean(gathered), c_s)
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
