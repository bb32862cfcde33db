"""FedRep: the head stays at its site and is trained first, on the body as it came; then the body is trained.

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
        client_optimizer: the sites' optimiser; head and body have a state each, which rests out of turn.
        head_steps: tau, at least 1; all later steps of a round go to the body, and a site with no more
            steps than tau leaves the body as it is. The paper gives the head 10 epochs, the body 1.
        local: see `fed_per`.
        server_optimizer: as in FedAvg, for the body.
        keep_optimizer: as in FedAvg.

    Returns:
        The algorithm; see `keep_local` for what the server's `params` is then worth.

    Raises:
        ValueError: as by `fed_per`, and when `head_steps` is below 1.
    """
    if head_steps < 1:
        raise ValueError(
            f"head_steps={head_steps}: must be at least 1; fed_per trains both at once"
        )

    def labels(params: Params) -> Params:
        body, head = split(params, local)
        return merge(jax.tree.map(lambda _: "body", body), jax.tree.map(lambda _: "head", head))

    def in_turn(is_head: bool) -> optax.GradientTransformation:
        return optax.conditionally_mask(
            client_optimizer, lambda step, **_: (jnp.asarray(step) < head_steps) == is_head
        )

    in_turns = optax.partition({"head": in_turn(True), "body": in_turn(False)}, labels)
    base = fed_avg(loss, in_turns, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer)

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        begun = base.client.start(params, site, key)
        ours = lambda path, _: path[-1].tuple_name == "ConditionallyMaskState"  # noqa: E731
        return begun._replace(optimizer=optax.tree.set(begun.optimizer, ours, step=jnp.int32(0)))

    return keep_local(base._replace(client=base.client._replace(start=start)), local)
