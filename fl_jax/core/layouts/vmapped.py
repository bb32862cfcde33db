"""The vmapped layout: all sites in lock-step under `jax.vmap`, streaming or as one pure function."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core import trees
from fl_jax.core import weighting as weightings
from fl_jax.core.keys import site_key
from fl_jax.core.layouts import common
from fl_jax.core.layouts.common import Batches, Dropout, Round, State
from fl_jax.core.layouts.first import with_first
from fl_jax.core.receive import receive
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Metrics


@with_first
def whole_round(
    algorithm: Algorithm,
    aggregator: Aggregator,
    *,
    sizes: Sequence[float] | Array | None = None,
    weighting: str = "examples",
) -> Callable[..., tuple[State, Metrics]]:
    """Makes a whole round as one pure function, to jit, scan, vmap or differentiate.

    Args:
        sizes: see `fl_jax.core.weighting`; may be traced, as when federations of several partitions are
            vmapped.
        weighting: see `fl_jax.core.weighting`.

    Returns:
        `(state, batches, present) -> (state, metrics)`; every leaf of `batches` has leading axes [S, T, B],
        `present` is bool[S]. A step whose mask is all zero changes nothing.

    Raises:
        ValueError: for a chained algorithm.

    >>> import optax
    >>> from fl_jax.aggregators import weighted_mean
    >>> from fl_jax.algorithms import fed_avg
    >>> from fl_jax.core.layouts import init
    >>> loss = lambda params, batch, key: ((params - batch.inputs) ** 2).mean() / 2
    >>> batches = Batch(jnp.array([1.0, 5.0]).reshape(2, 1, 1), jnp.zeros((2, 1, 1)), jnp.ones((2, 1, 1)))
    >>> def after_a_round(rate):
    ...     parts = fed_avg(loss, optax.sgd(rate)), weighted_mean()
    ...     state = init(*parts, jnp.float32(0), 2, jax.random.key(0))
    ...     return whole_round(*parts)(state, batches, jnp.ones(2, bool))[0].params
    >>> jax.vmap(after_a_round)(jnp.array([0.5, 1.0])).tolist()  # towards the mean, 3
    [1.5, 3.0]
    >>> float(jax.grad(after_a_round)(0.5))
    3.0
    """
    weights = weightings.make(weighting, sizes)
    start, step, finish = _lockstep(algorithm, aggregator, weights, "whole_round")

    def run(state: State, batches: Batch, present: Array) -> tuple[State, Metrics]:
        by_step = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batches)
        local, _ = jax.lax.scan(
            lambda carry, batch: (step(carry, batch), None), start(state), by_step
        )
        seen = batches.mask.any(tuple(range(1, batches.mask.ndim)))
        state, metrics = finish(state, local, present & seen)
        return state, metrics | {"dropped": jnp.zeros_like(seen)}

    return run


@with_first
def vmapped(
    algorithm: Algorithm,
    aggregator: Aggregator,
    *,
    sizes: Sequence[float] | None = None,
    weighting: str = "examples",
) -> Round:
    """Makes the layout that runs all sites in lock-step, streaming one batch per site and step.

    For small models, many sites, and accelerators that one site cannot fill.

    Args:
        sizes, weighting: see `fl_jax.core.weighting`.

    Returns:
        A `Round`; absent sites and sites with fewer batches idle until the largest has finished.

    Raises:
        ValueError: for a chained algorithm.
    """
    weights = weightings.make(weighting, sizes)
    begin, step, finish = _lockstep(algorithm, aggregator, weights, "vmapped")
    start = jax.jit(lambda state: trees.copy(begin(state)))
    step, finish = jax.jit(step, donate_argnums=0), jax.jit(finish)

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        local, seen, dropped = start(state), *np.zeros((2, len(participating)), bool)
        streams = [iter(batches(s)) if p else iter(()) for s, p in enumerate(participating)]

        def draw(site: int) -> Batch | None:
            try:
                batch = next(streams[site], None)
            except Dropout:
                dropped[site] = True
                return None
            seen[site] |= batch is not None and np.any(batch.mask)
            return batch

        while any(row := [draw(site) for site in range(len(streams))]):
            local = step(local, _stack(row))
        state, metrics = finish(state, local, seen & ~dropped)
        return state, metrics | {"dropped": dropped}

    return run


def _lockstep(
    algorithm: Algorithm, aggregator: Aggregator, weights: weightings.Weighting, layout: str
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    common.refuse_chained(algorithm, layout)
    client = algorithm.client

    def start(state: State) -> Any:
        broadcast = algorithm.broadcast(state.server)
        key = partial(site_key, state.key, state.round)
        keys = jax.vmap(key)(jnp.arange(state.participated.size))
        return jax.vmap(client.start, in_axes=(None, 0, 0))(broadcast, state.sites, keys)

    def step(local: Any, batch: Batch) -> Any:
        def one(local: Any, batch: Batch) -> Any:
            return trees.where(batch.mask.any(), client.step(local, batch), local)

        return jax.vmap(one)(local, batch)

    def finish(state: State, local: Any, present: Array) -> tuple[State, Metrics]:
        present = jnp.asarray(present)
        broadcast = algorithm.broadcast(state.server)
        reports, after = jax.vmap(client.finish, in_axes=(None, 0, 0))(
            broadcast, state.sites, local
        )
        reports = weights.weigh(reports)

        def add(aggregate: Any, site: Array) -> tuple[Any, Metrics]:
            report = trees.take(reports, site)
            key = site_key(state.key, state.round, site)
            after, metrics = receive(aggregator, aggregate, site, report, key)
            metrics["accepted"] &= present[site]
            return trees.where(present[site], after, aggregate), metrics

        aggregate, metrics = jax.lax.scan(add, state.aggregator, jnp.arange(present.size))
        accepted = metrics.pop("accepted")
        sites = jax.vmap(trees.where)(accepted, after, state.sites)
        metrics = {name: jnp.where(present, value, jnp.nan) for name, value in metrics.items()}
        closing = sites, aggregate, present, accepted, weights.shares(present.size)
        state = common.close(algorithm, aggregator, state, *closing)
        return state, metrics | {"accepted": accepted}

    return start, step, finish


def _stack(row: list[Batch | None]) -> Batch:
    like = next(batch for batch in row if batch is not None)
    idle = jax.tree.map(np.zeros_like, like)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(b or idle for b in row))
