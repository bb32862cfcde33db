"""A learning-rate schedule over rounds: the server sends a factor that scales the clients' updates.

round r:  u <- f_r u  for every update u of the client's optimiser

`r` counts completed rounds; void rounds do not count. The factor is data, so no round recompiles. A
schedule inside the optimiser instead counts its local steps, and restarts each round unless the algorithm
keeps the optimiser state.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.types import Algorithm, Array, Client, Params, Report
from fl_jax.wrappers.first import first_on_base


class RoundFactor(NamedTuple):
    """Optimiser state of `scale_by_round`: the factor, float32[]."""

    factor: Array


class ScheduleState(NamedTuple):
    """The algorithm's server state, and the round r, int32[]."""

    base: Any
    round: Array

    @property
    def params(self) -> Params:
        """The global model."""
        return self.base.params


def scale_by_round() -> optax.GradientTransformation:
    """Scales updates by the factor of `round_schedule`; place it last in the clients' `optax.chain`."""

    def init(params: Params) -> RoundFactor:
        del params
        return RoundFactor(jnp.ones(()))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return optax.tree.scale(state.factor, updates), state

    return optax.GradientTransformation(init, update)


def round_schedule(algorithm: Algorithm, factors: Sequence[float]) -> Algorithm:
    """Wraps an algorithm so that every `scale_by_round` at a site uses the round's factor.

    Args:
        algorithm: its client optimiser must end in `scale_by_round()`.
        factors: f, one number >= 0 per round; later rounds use the last.

    Returns:
        The algorithm; its broadcast grows by four bytes. `client.start` raises ValueError for an algorithm
        that does not use the client optimiser.

    Raises:
        ValueError: when `factors` is empty, negative or not finite, or for a chained algorithm, whose
            server acts several times a round.
    """
    table = np.asarray(factors, np.float32)
    if table.ndim != 1 or not table.size or not ((table >= 0) & np.isfinite(table)).all():
        raise ValueError(
            f"round_schedule: factors={table.tolist()}: must be finite and at least 0, one per round"
        )
    if algorithm.chained:
        raise ValueError(
            "round_schedule: a chained algorithm updates its server after every site, not every round; set "
            "round_schedule='' or give the optimiser a schedule over its steps"
        )

    def init_server(params: Params) -> ScheduleState:
        return ScheduleState(algorithm.init_server(params), jnp.int32(0))

    def broadcast(server: ScheduleState) -> tuple[Any, Array]:
        factor = jnp.asarray(table)[jnp.minimum(server.round, table.size - 1)]
        return algorithm.broadcast(server.base), factor

    def start(received: tuple[Any, Array], site: Any, key: jax.Array) -> Any:
        base, factor = received
        local, count = _set_factor(algorithm.client.start(base, site, key), factor)
        if not count:
            raise ValueError(
                "round_schedule: the algorithm does not use the clients' optimiser; remove client_lr from "
                "its arguments"
            )
        return local

    def finish(received: tuple[Any, Array], site: Any, local: Any) -> tuple[Report, Any]:
        return algorithm.client.finish(received[0], site, local)

    def server(state: ScheduleState, message: Any, fraction: Array) -> ScheduleState:
        return ScheduleState(algorithm.server(state.base, message, fraction), state.round + 1)

    personal = algorithm.personal
    return algorithm._replace(
        init_server=init_server,
        first=first_on_base(algorithm),
        broadcast=broadcast,
        client=Client(start, algorithm.client.step, finish),
        server=server,
        personal=personal and (lambda server, site: personal(server.base, site)),
    )


def _set_factor(tree: Any, factor: Array) -> tuple[Any, int]:
    """Sets every `RoundFactor` in a tree; returns the tree and how many there are."""
    is_factor = lambda node: isinstance(node, RoundFactor)  # noqa: E731
    nodes, structure = jax.tree.flatten(tree, is_leaf=is_factor)
    replaced = [
        RoundFactor(jnp.broadcast_to(factor, node.factor.shape)) if is_factor(node) else node
        for node in nodes
    ]
    return structure.unflatten(replaced), sum(map(is_factor, nodes))
