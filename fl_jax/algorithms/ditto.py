"""Ditto: FedAvg, and a personal model at each site that is regularised towards the global one.

site s, every step:  x_s <- x_s + u(grad loss(x_s))                 FedAvg, untouched
                     v_s <- v_s + u(grad loss(v_s) + lam (v_s - x))   x as broadcast; v_s stays local

Li et al., "Ditto: Fair and Robust Federated Learning Through Personalization", ICML 2021.
"""

from typing import Any

import jax
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Batch, Params
from fl_jax.wrappers.personal_model import PersonalSite, personal_model


def ditto(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    lam: float = 0.1,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes Ditto; a step costs two of FedAvg.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; both models have separate states.
        lam: >= 0; 0 trains v_s alone, a large value ties it to the global model. Gradient descent needs a
            learning rate times lam below 2.
        server_optimizer: see `fed_avg`.
        keep_optimizer: see `fed_avg`; for both models.

    Returns:
        The algorithm. Server and messages are FedAvg's; `personal` is v_s.
    """
    if lam < 0:
        raise ValueError(f"lam={lam}: must be at least 0; 0 trains personal models alone")

    def regularised(
        v: Params, params: Params, broadcast: Params, batch: Batch, key: jax.Array
    ) -> jax.Array:
        del params
        distance = optax.tree.norm(optax.tree.sub(v, broadcast), squared=True)
        return loss(v, batch, key) + lam / 2 * distance

    def personal(server: Any, site: PersonalSite) -> Params:
        del server
        return site.personal

    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )
    return personal_model(
        base, regularised, client_optimizer, lambda params: params, keep_optimizer=keep_optimizer
    )._replace(personal=personal)
