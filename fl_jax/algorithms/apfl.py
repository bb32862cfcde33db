"""APFL: beside FedAvg's model w each site trains a v of its own, such that a mixture of the two is good.

site s, every step, with m = alpha v + (1 - alpha) w:
    w <- w + u(grad loss(w)),   v <- v + u(alpha grad loss(m))
    alpha <- clip(alpha - rate <v - w, grad loss(m)>, 0, 1)             where it adapts

Deng, Kamani and Mahdavi, "Adaptive Personalized Federated Learning", arXiv:2003.13461, 2020.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Batch, Params
from fl_jax.wrappers.personal_model import personal_model


class Own(NamedTuple):
    """What a site trains for itself: v, and alpha float32[], its share in the mixture."""

    params: Params
    alpha: Any


def apfl(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    alpha: float = 0.5,
    alpha_rate: float = 0.0,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes APFL; a step costs two of FedAvg.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the sites' optimiser, for w and for v with a state of its own.
        alpha: in [0, 1], the share of v at first; 0 is FedAvg, 1 a local model.
        alpha_rate: learning rate of alpha, at least 0, where 0 keeps it; the paper takes the model's.
        server_optimizer: as in FedAvg.
        keep_optimizer: as in FedAvg, for w and v.

    Returns:
        FedAvg, message for message; `personal` mixes the site's v with the server's model.

    Raises:
        ValueError: when `alpha` or `alpha_rate` is out of range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha}: must lie in [0, 1], where 0 is the global model")
    if not alpha_rate >= 0:
        raise ValueError(f"alpha_rate={alpha_rate}: must be at least 0, where 0 keeps alpha")

    def mix(own: Own, w: Params) -> Params:
        return jax.tree.map(lambda v, w: own.alpha * v + (1 - own.alpha) * w, own.params, w)

    def mixed(own: Own, w: Params, centre: Params, batch: Batch, key: jax.Array) -> jax.Array:
        del centre
        return loss(mix(own, w), batch, key)

    clip = lambda u, a: jax.tree.map(lambda u, a: jnp.clip(a + u, 0, 1) - a, u, a)  # noqa: E731
    rate = optax.chain(optax.sgd(alpha_rate), optax.stateless(clip))
    optimizer = optax.partition({"v": client_optimizer, "alpha": rate}, Own("v", "alpha"))
    start = lambda params: Own(params, jnp.float32(alpha))  # noqa: E731
    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )
    personalised = personal_model(base, mixed, optimizer, start, keep_optimizer=keep_optimizer)
    return personalised._replace(personal=lambda server, site: mix(site.personal, server.params))
