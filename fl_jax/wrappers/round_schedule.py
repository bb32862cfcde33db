"""A factor of the sites' learning rate that changes from round to round, known to the server and sent along.

round r:  u <- f_r u  for every update u of the sites' optimiser

`r` counts the rounds that the server has taken: a void one counts for nothing. The factor is data, not a part
of the program, so nothing is compiled again. A schedule within the optimiser counts another thing: the steps
of its own state, which at a site begins anew in every round unless the algorithm keeps it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.types import Algorithm, Array, Client, Params, Report


class RoundFactor(NamedTuple):
    """Within an optimiser's state: the factor, float32[]."""

    factor: Array


class Timed(NamedTuple):
    """The algorithm's server state and r, int32[]; `params` is the algorithm's."""

    base: Any
    round: Array

    @property
    def params(self) -> Params:
        """The global model."""
        return self.base.params


def by_round(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Gives an optimiser a factor, 1 until `over_rounds` sets it."""

    def init(params: Params) -> RoundFactor:
        del params
        return RoundFactor(jnp.ones(()))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return optax.tree.scale(state.factor, updates), state

    return optax.chain(optimizer, optax.GradientTransformation(init, update))


def over_rounds(algorithm: Algorithm, factors: Sequence[float]) -> Algorithm:
    """Sends every site the round's factor, for all its optimisers that are made by `by_round`.

    Args:
        algorithm: whose sites' optimiser is `by_round`'s.
        factors: f, a number >= 0 a round; the last one holds for all that follow.

    Returns:
        The algorithm; a site is sent four bytes more. It raises ValueError when it is begun, where it does
        not use the sites' optimiser.

    Raises:
        ValueError: for no factor, one that is negative or not finite, or a chained algorithm, whose server
            acts more than once a round.
    """
    table = np.asarray(factors, np.float32)
    if table.ndim != 1 or not table.size or not ((table >= 0) & np.isfinite(table)).all():
        raise ValueError(
            f"round_schedule: its factors are {table.tolist()}: must be finite and at least 0, one a round"
        )
    if algorithm.chained:
        raise ValueError(
            "round_schedule: a chained algorithm's server acts after every site and knows no rounds; leave "
            "it empty, or give the optimiser a schedule of its steps"
        )

    def init_server(params: Params) -> Timed:
        return Timed(algorithm.init_server(params), jnp.int32(0))

    def broadcast(server: Timed) -> tuple[Any, Array]:
        factor = jnp.asarray(table)[jnp.minimum(server.round, table.size - 1)]
        return algorithm.broadcast(server.base), factor

    def start(sent: tuple[Any, Array], site: Any, key: jax.Array) -> Any:
        base, factor = sent
        begun, found = _set(algorithm.client.start(base, site, key), factor)
        if not found:
            raise ValueError(
                "round_schedule: the algorithm does not use the sites' optimiser; leave client_lr out of it"
            )
        return begun

    def finish(sent: tuple[Any, Array], site: Any, local: Any) -> tuple[Report, Any]:
        return algorithm.client.finish(sent[0], site, local)

    def server(state: Timed, message: Any, fraction: Array) -> Timed:
        return Timed(algorithm.server(state.base, message, fraction), state.round + 1)

    own = algorithm.personal
    return algorithm._replace(
        init_server=init_server,
        broadcast=broadcast,
        client=Client(start, algorithm.client.step, finish),
        server=server,
        personal=own and (lambda server, site: own(server.base, site)),
    )


def _set(tree: Any, factor: Array) -> tuple[Any, int]:
    """The tree with the factor in every `RoundFactor`, and how many there are."""
    ours = lambda node: isinstance(node, RoundFactor)  # noqa: E731
    nodes, structure = jax.tree.flatten(tree, is_leaf=ours)
    found = [
        RoundFactor(jnp.broadcast_to(factor, node.factor.shape)) if ours(node) else node
        for node in nodes
    ]
    return structure.unflatten(found), sum(map(ours, nodes))
