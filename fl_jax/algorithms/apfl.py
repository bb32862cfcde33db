"""APFL: FedAvg's model w, and a personal v at each site, trained through the mixture of both.

site s, every step, with m = alpha v + (1 - alpha) w:
    w <- w + u(grad loss(w)),   v <- v + u(alpha grad loss(m))
    alpha <- clip(alpha - rate <v - w, grad loss(m)>, 0, 1)             if alpha_rate > 0

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


class Personal(NamedTuple):
    """A site's personal parameters: v, and its share alpha float32[] of the mixture."""

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
        client_optimizer: of local training; w and v have separate states.
        alpha: in [0, 1], the initial share of v; 0 is FedAvg, 1 a local model.
        alpha_rate: >= 0, the learning rate of alpha; 0 keeps it fixed. The paper uses the model's.
        server_optimizer: see `fed_avg`.
        keep_optimizer: see `fed_avg`; for w and v.

    Returns:
        The algorithm. Server and messages are FedAvg's; `personal` is the mixture of v and the server's
        model.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha}: must lie in [0, 1], where 0 is the global model")
    if not alpha_rate >= 0:
        raise ValueError(f"alpha_rate={alpha_rate}: must be at least 0; 0 keeps alpha fixed")

    def mix(personal: Personal, w: Params) -> Params:
        alpha = personal.alpha
        return jax.tree.map(lambda v, w: alpha * v + (1 - alpha) * w, personal.params, w)

    def mixture_loss(
        personal: Personal, w: Params, broadcast: Params, batch: Batch, key: jax.Array
    ) -> jax.Array:
        del broadcast
        return loss(mix(personal, w), batch, key)

    clip = lambda u, a: jax.tree.map(lambda u, a: jnp.clip(a + u, 0, 1) - a, u, a)  # noqa: E731
    rate = optax.chain(optax.sgd(alpha_rate), optax.stateless(clip))
    optimizer = optax.partition({"v": client_optimizer, "alpha": rate}, Personal("v", "alpha"))
    start = lambda params: Personal(params, jnp.asarray(alpha, float))  # noqa: E731
    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )
    personalised = personal_model(
        base, mixture_loss, optimizer, start, keep_optimizer=keep_optimizer
    )
    return personalised._replace(personal=lambda server, site: mix(site.personal, server.params))
