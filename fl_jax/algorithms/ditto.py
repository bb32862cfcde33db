"""Ditto: beside FedAvg's global model each site trains a model of its own that is held near the global one.

site s, every step:  x_s <- x_s + u(grad loss(x_s))                 FedAvg, untouched
                     v_s <- v_s + u(grad loss(v_s) + lam (v_s - x))   x as it was broadcast; v_s stays

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
        client_optimizer: the sites' optimiser, for either model with a state of its own.
        lam: at least 0; 0 is a local model, and a large one holds it to the global model. With plain
            gradient descent the learning rate times lam must stay below 2.
        server_optimizer: as in FedAvg.
        keep_optimizer: as in FedAvg, for either model.

    Returns:
        The algorithm. Its server and its messages are FedAvg's; `personal` is v_s.

    Raises:
        ValueError: when `lam` is negative.
    """
    if lam < 0:
        raise ValueError(f"lam={lam}: must be at least 0, where 0 is a local model")

    def near(
        own: Params, params: Params, centre: Params, batch: Batch, key: jax.Array
    ) -> jax.Array:
        del params
        distance = optax.tree.norm(optax.tree.sub(own, centre), squared=True)
        return loss(own, batch, key) + lam / 2 * distance

    def personal(server: Any, site: PersonalSite) -> Params:
        del server
        return site.personal

    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )
    return personal_model(
        base, near, client_optimizer, lambda params: params, keep_optimizer=keep_optimizer
    )._replace(personal=personal)
