"""FedALA: FedAvg whose sites start a round from a mixture of the global head and their last one.

site s, first:      every batch:  W_s <- clip(W_s - weight_lr grad_W loss(body, mix(W_s)), 0, 1)
                    mix(W) = W head + (1 - W) head_s, element by element, of the broadcast (body, head)
site s, each step:  x_s <- x_s + u(grad loss(x_s)),   x_s = (body, mix(W_s)) at the round's start
                    send x_s - x with weight n_s;  keep W_s, and x_s' head as head_s
server:             as FedAvg's

A round has two exchanges with the same batches, see `Algorithm.first`; nothing is sent in the first.

Zhang et al., "FedALA: Adaptive Local Aggregation for Personalized Federated Learning", AAAI 2023.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.trees import all_finite
from fl_jax.core.types import Algorithm, Batch, Client, Params, Report
from fl_jax.wrappers.keep_local import merge, split


class Site(NamedTuple):
    """A site's state: head_s, W_s of the same shapes in [0, 1], and FedAvg's site state."""

    head: Params
    weights: Params
    base: Any


def fed_ala(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    weight_lr: float = 1.0,
    local: str = r"^Dense_\d+/",
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedALA; a round costs up to two of FedAvg.

    Differences from the paper: W_s takes one pass over the round's batches. The paper uses a random 80% of
    them, and in the second round repeats the pass until W_s converges.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training.
        weight_lr: >= 0, the learning rate of W_s, which starts at 1; 0 is FedAvg.
        local: names the head's leaves, see `fed_per`; the paper's top p layers. They are sent, too.
        server_optimizer, keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. n_s as in FedAvg. `personal` is the server's body with mix(W_s), as at the start of a
        round; W_s is the one of the site's last round, and 1 before its first.

    Raises:
        ValueError: when an argument is out of range; by `init_site`, when `local` finds none or all of a
            model's leaves.
    """
    if not weight_lr >= 0:
        raise ValueError(f"weight_lr={weight_lr}: must be at least 0; 0 is FedAvg")
    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )

    def mixed(x: Params, head: Params, weights: Params) -> Params:
        body, sent = split(x, local)
        # In this form, W = 1 gives the global head exactly, and equal heads a gradient of exactly 0.
        mix = jax.tree.map(lambda a, b, w: a + (1 - w) * (b - a), sent, head, weights)
        return merge(body, mix)

    def init_site(params: Params) -> Site:
        head = split(params, local)[1]
        return Site(head, optax.tree.ones_like(head), base.init_site(params))

    def start(x: Params, site: Site, key: jax.Array) -> client.Local:
        return base.client.start(mixed(x, site.head, site.weights), site.base, key)

    def finish(x: Params, site: Site, state: client.Local) -> tuple[Report, Site]:
        report, after = base.client.finish(x, site.base, state)
        return report, Site(split(state.params, local)[1], site.weights, after)

    optimizer = optax.sgd(weight_lr)

    def start_weights(x: Params, site: Site, key: jax.Array) -> client.Local:
        state = client.start(site.weights, optimizer.init(site.weights), key)
        return state._replace(extra=(x, site.head))

    def step_weights(state: client.Local, batch: Batch) -> client.Local:
        x, head = state.extra

        def mixture_loss(weights: Params, batch: Batch, key: jax.Array) -> jax.Array:
            return loss(mixed(x, head, weights), batch, key)

        after = client.gradient_step(mixture_loss, optimizer)(state, batch)
        return after._replace(params=jax.tree.map(lambda w: jnp.clip(w, 0, 1), after.params))

    def finish_weights(x: Params, site: Site, state: client.Local) -> tuple[Report, Site]:
        del x
        weight = jnp.where(all_finite(state.params), state.examples, jnp.nan)
        report = Report(jnp.zeros(()), weight, client.metrics(state))
        return report, site._replace(weights=state.params)

    algorithm = base._replace(
        init_site=init_site,
        client=base.client._replace(start=start, finish=finish),
        personal=lambda server, site: mixed(server.params, site.head, site.weights),
    )
    first = algorithm._replace(
        client=Client(start_weights, step_weights, finish_weights),
        server=lambda state, message, fraction: state,
    )
    return algorithm._replace(first=first)
