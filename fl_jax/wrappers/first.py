"""The first exchange of an algorithm that a wrapper keeps in the field `base` of its server state."""

from typing import Any

from fl_jax.core.types import Algorithm, Array


def first_on_base(algorithm: Algorithm) -> Algorithm | None:
    """`algorithm.first`, on the base of the wrapper's server state, the rest of which it leaves."""
    first = algorithm.first
    if first is None:
        return None

    def server(state: Any, message: Any, fraction: Array) -> Any:
        return state._replace(base=first.server(state.base, message, fraction))

    return first._replace(broadcast=lambda state: first.broadcast(state.base), server=server)
