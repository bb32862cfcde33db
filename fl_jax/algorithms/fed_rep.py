"""FedRep: the head stays local and is trained first, on the fixed body; then the body is trained.

site s:  steps 1..tau      head_s <- head_s + u(grad_head loss(x, head_s))
         steps tau+1..T    x_s <- x_s + u(grad_x loss(x_s, head_s));   send x_s - x with weight n_s
server:  x <- x + server_optimizer(-(sum_s n_s (x_s - x) / sum_s n_s))

Collins et al., "Exploiting Shared Representations for Personalized Federated Learning", ICML 2021.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Params
from fl_jax.wrappers.keep_local import keep_local, merge, split


def fed_rep(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    head_steps: int = 1,
    local: str = r"^Dense_\d+/",
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes FedRep.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; head and body have separate states, paused out of turn.
        head_steps: tau, at least 1; the later steps of a round train the body. A site with at most tau steps
            leaves the body unchanged. The paper trains the head for 10 epochs and the body for 1.
        local: see `fed_per`.
        server_optimizer: see `fed_avg`; for the body.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm; see `keep_local` for the meaning of the server's `params`.
    """
    if head_steps < 1:
        raise ValueError(
            f"head_steps={head_steps}: must be at least 1; fed_per trains both together"
        )

    def labels(params: Params) -> Params:
        body, head = split(params, local)
        return merge(jax.tree.map(lambda _: "body", body), jax.tree.map(lambda _: "head", head))

    def masked(is_head: bool) -> optax.GradientTransformation:
        return optax.conditionally_mask(
            client_optimizer, lambda step, **_: (jnp.asarray(step) < head_steps) == is_head
        )

    alternating = optax.partition({"head": masked(True), "body": masked(False)}, labels)
    base = fed_avg(
        loss, alternating, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        local = base.client.start(params, site, key)
        is_mask = lambda path, _: path[-1].tuple_name == "ConditionallyMaskState"  # noqa: E731
        state = optax.tree.set(local.optimizer, is_mask, step=jnp.int32(0))
        return local._replace(optimizer=state)

    return keep_local(base._replace(client=base.client._replace(start=start)), local)
