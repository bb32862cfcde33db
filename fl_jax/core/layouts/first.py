"""Rounds of two exchanges: `Algorithm.first`, then the algorithm, with the same sites and batches.

A site that is refused in the first exchange, or leaves, is absent from the second. The aggregator has a state
for each, because their messages differ.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import jax.numpy as jnp
import numpy as np

from fl_jax.core.layouts.common import State
from fl_jax.core.types import Aggregator, Algorithm, Array, Metrics

P = ParamSpec("P")
R = TypeVar("R", bound=Callable[..., tuple[State, Metrics]])


def with_first(
    make: Callable[Concatenate[Algorithm, Aggregator, P], R],
) -> Callable[Concatenate[Algorithm, Aggregator, P], R]:
    """Lets a layout for single exchanges run algorithms with a first one."""

    @wraps(make)
    def layout(
        algorithm: Algorithm, aggregator: Aggregator, *args: P.args, **options: P.kwargs
    ) -> Any:
        second = make(algorithm._replace(first=None), aggregator, *args, **options)
        if algorithm.first is None:
            return second
        return _in_turn(make(algorithm.first, aggregator, *args, **options), second)

    return layout


def _in_turn(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., Any]:
    def run(state: State, batches: Any, present: Array) -> tuple[State, Metrics]:
        before = state._replace(aggregator=state.aggregator[0])
        early, said = first(before, batches, present)
        # Both exchanges are of the same round, with the same keys.
        between = state._replace(
            server=early.server, sites=early.sites, aggregator=state.aggregator[1]
        )
        remain = said["accepted"]
        after, metrics = second(between, batches, remain)
        both = early.aggregator, after.aggregator
        return after._replace(aggregator=both), _joined(said, metrics, remain)

    return run


def _joined(first: Metrics, second: Metrics, remain: Array) -> Metrics:
    """The second exchange's metrics, the first one's of sites that did not remain, and the bytes of both."""
    where = np.where if isinstance(remain, np.ndarray) else jnp.where
    joined = {name: where(remain, second[name], first.get(name, second[name])) for name in second}
    joined["bytes"] = where(remain, first["bytes"] + second["bytes"], first["bytes"])
    return joined | {
        "accepted": second["accepted"],
        "dropped": first["dropped"] | second["dropped"],
    }
