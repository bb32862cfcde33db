"""`jit` with the arrays that a function closes over as arguments of its program.

`jax.jit` compiles them in as constants. Arms of an experiment differ in one such array alone, the weights of
positives; with it as an argument their programs are equal, and JAX's compilation cache compiles one of them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.core import eval_jaxpr


class _Traced(NamedTuple):
    """A function at some shapes: its program, the arrays it closes over, and its result's structure."""

    program: Callable[..., Any]
    constants: Sequence[Any]
    structure: Any


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a pure function `(state, *arguments) -> pytree`; the result may reuse the state's buffers."""
    known: dict[Any, _Traced] = {}

    def call(state: Any, *arguments: Any) -> Any:
        states, outer = jax.tree.flatten(state)
        others, inner = jax.tree.flatten(arguments)
        key = outer, inner, tuple(map(jax.typeof, (*states, *others)))
        if key not in known:
            known[key] = _trace(function, state, arguments)
        traced = known[key]
        return jax.tree.unflatten(
            traced.structure, traced.program(states, others, traced.constants)
        )

    return call


def _trace(function: Callable[..., Any], state: Any, arguments: Sequence[Any]) -> _Traced:
    closed, result = jax.make_jaxpr(function, return_shape=True)(state, *arguments)

    @partial(jax.jit, donate_argnums=0)
    def program(states: list[Any], others: list[Any], constants: Sequence[Any]) -> list[Any]:
        return eval_jaxpr(closed.jaxpr, constants, *states, *others)

    return _Traced(program, closed.consts, jax.tree.structure(result))
