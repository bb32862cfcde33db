"""One federated round, built in two layouts from the same client functions; they give the same numbers.

- `sequential`: site after site, one jitted step a batch, donated buffers. Costs what central training
  costs, whatever the sizes of the sites; for CNNs on full-size slices.
- `vmapped`: all sites in lock-step under `jax.vmap`. For small models, many sites, and accelerators that
  one site's step leaves idle. `whole` is the same as one pure function of stacked batches.

Guarantees: changing an absent site's data changes nothing. A message that is not finite is left out and
shows in `accepted`; its site keeps the state that it had. Aggregation goes in site order. Nothing
recompiles when participation changes.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.keys import stream
from fl_jax.types import Aggregator, Algorithm, Array, Batch, Metrics, Params, Report

Batches = Callable[[int], Iterable[Batch]]
"""Site index -> the batches of that site's round, all of one shape."""
Round = Callable[["State", Batches, np.ndarray], tuple["State", Metrics]]
"""`(state, batches, participating bool[S]) -> (state, metrics)`, each metric with a leading axis S."""


class State(NamedTuple):
    """Everything that a run needs to go on.

    Attributes:
        round: int32[], rounds done.
        server: the algorithm's server state; its `params` is the global model.
        sites: the sites' states, stacked: every leaf has a leading axis S.
        participated: int32[S], how many rounds each site has taken part in.
        aggregator: the aggregator's state.
        key: the run's key; round r uses `fold_in(key, r)`.
    """

    round: Array
    server: Any
    sites: Any
    participated: Array
    aggregator: Any
    key: jax.Array


def init(
    algorithm: Algorithm, aggregator: Aggregator, params: Params, sites: int, key: jax.Array
) -> State:
    """Makes the state before the first round.

    Args:
        algorithm: what sites and server do.
        aggregator: how messages become one.
        params: the initial model.
        sites: S, at least 1.
        key: the run's key.

    Raises:
        ValueError: when there is no site.
    """
    if sites < 1:
        raise ValueError(f"sites={sites}: a federation has at least one site")
    server = algorithm.init_server(params)
    site = algorithm.init_site(params)
    stacked = jax.tree.map(lambda x: jnp.broadcast_to(x, (sites, *jnp.shape(x))), site)

    def message() -> Any:
        broadcast = algorithm.broadcast(server)
        local = algorithm.client.start(broadcast, site, key)
        return algorithm.client.finish(broadcast, site, local)[0].message

    like = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(message))
    none = jnp.zeros(sites, jnp.int32)
    return State(jnp.int32(0), server, stacked, none, aggregator.init(like, sites), key)


def sequential(algorithm: Algorithm, aggregator: Aggregator) -> Round:
    """Makes the layout that runs site after site.

    Returns:
        A `Round` whose memory does not grow with S beyond the sites' kept states and what the
        aggregator keeps. The state passed in stays valid.
    """
    client = algorithm.client

    @jax.jit
    def start(state: State, site: Array) -> tuple[Any, Any]:
        broadcast = algorithm.broadcast(state.server)
        return broadcast, client.start(broadcast, _take(state.sites, site), _site_key(state, site))

    # What a jitted function passes through keeps its buffer. What is donated later is copied first, or
    # the first step would free the global model.
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
    step = jax.jit(client.step, donate_argnums=0)

    @partial(jax.jit, donate_argnums=3)
    def finish(
        state: State, broadcast: Any, local: Any, held: tuple[Any, Any], site: Array
    ) -> tuple[tuple[Any, Any], Metrics]:
        sites, aggregate = held
        before = _take(sites, site)
        report, after = client.finish(broadcast, before, local)
        aggregate, accepted = _receive(aggregator, aggregate, site, report, state)
        kept = _where(accepted, after, before)
        sites = jax.tree.map(lambda all, one: all.at[site].set(one), sites, kept)
        return (sites, aggregate), report.metrics | {"weight": report.weight, "accepted": accepted}

    close = jax.jit(partial(_serve, algorithm, aggregator))

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        held, by_site = copy((state.sites, state.aggregator)), {}
        for site in np.flatnonzero(participating):
            index = jnp.int32(site)
            broadcast, local = start(state, index)
            local = copy(local)
            for batch in batches(int(site)):
                local = step(local, batch)
            held, by_site[int(site)] = finish(state, broadcast, local, held, index)
        metrics = _spread(by_site, len(participating))
        return close(state, *held, jnp.asarray(participating), metrics["accepted"]), metrics

    return run


def whole(algorithm: Algorithm, aggregator: Aggregator) -> Callable[..., tuple[State, Metrics]]:
    """Makes a whole round as one pure function, to jit, vmap or scan.

    Returns:
        `round(state, batches, participating) -> (state, metrics)`; every leaf of `batches` has leading
        axes [S, T, B], a step whose mask is all zero changes nothing, `participating` is bool[S].
    """
    start, step, finish = _lockstep(algorithm, aggregator)

    def round(state: State, batches: Batch, participating: Array) -> tuple[State, Metrics]:
        in_time = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batches)
        local, _ = jax.lax.scan(
            lambda held, batch: (step(held, batch), None), start(state), in_time
        )
        return finish(state, local, participating)

    return round


def vmapped(algorithm: Algorithm, aggregator: Aggregator) -> Round:
    """Makes the layout that runs all sites in lock-step, streaming one batch a site and step.

    Returns:
        A `Round`; sites that have fewer batches than the largest wait, and so do absent ones.
    """
    start, step, finish = _lockstep(algorithm, aggregator)
    start, step, finish = jax.jit(start), jax.jit(step, donate_argnums=0), jax.jit(finish)

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        local = jax.tree.map(jnp.copy, start(state))
        streams = [iter(batches(s)) if p else iter(()) for s, p in enumerate(participating)]
        while any(row := [next(batches_of_site, None) for batches_of_site in streams]):
            local = step(local, _stack(row))
        return finish(state, local, jnp.asarray(participating))

    return run


def _lockstep(
    algorithm: Algorithm, aggregator: Aggregator
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    client = algorithm.client

    def start(state: State) -> Any:
        broadcast = algorithm.broadcast(state.server)
        keys = jax.vmap(partial(_site_key, state))(jnp.arange(state.participated.shape[0]))
        return jax.vmap(client.start, in_axes=(None, 0, 0))(broadcast, state.sites, keys)

    def step(local: Any, batch: Batch) -> Any:
        def one(local: Any, batch: Batch) -> Any:
            real = batch.mask.any()
            return _where(real, client.step(local, batch), local)

        return jax.vmap(one)(local, batch)

    def finish(state: State, local: Any, participating: Array) -> tuple[State, Metrics]:
        broadcast = algorithm.broadcast(state.server)
        reports, kept = jax.vmap(client.finish, in_axes=(None, 0, 0))(broadcast, state.sites, local)

        def add(held: Any, site: Array) -> tuple[Any, Array]:
            report = _take(reports, site)
            new, accepted = _receive(aggregator, held, site, report, state, participating[site])
            return new, accepted

        held, accepted = jax.lax.scan(
            add, state.aggregator, jnp.arange(state.participated.shape[0])
        )
        sites = jax.vmap(_where)(accepted, kept, state.sites)
        metrics = reports.metrics | {"weight": reports.weight}
        metrics = {k: jnp.where(participating, v, jnp.nan) for k, v in metrics.items()}
        state = _serve(algorithm, aggregator, state, sites, held, participating, accepted)
        return state, metrics | {"accepted": accepted}

    return start, step, finish


def _receive(
    aggregator: Aggregator,
    held: Any,
    site: Array,
    report: Report,
    state: State,
    present: Array | bool = True,
) -> tuple[Any, Array]:
    """Adds a site's message unless the site is absent or sent something that is not finite."""
    finite = jnp.isfinite(report.weight)
    for leaf in jax.tree.leaves(report.message):
        finite &= jnp.isfinite(leaf).all()
    accepted = finite & present
    key = stream(_site_key(state, site), "aggregate")
    added = aggregator.add(held, site, report.message, report.weight, key)
    return _where(accepted, added, held), accepted  # a zero weight would not hide a NaN


def _serve(
    algorithm: Algorithm,
    aggregator: Aggregator,
    state: State,
    sites: Any,
    held: Any,
    participating: Array,
    accepted: Array,
) -> State:
    """Closes the round: aggregate, server update, and the state for the next round."""
    message, held = aggregator.finish(held)
    server = algorithm.server(state.server, message, jnp.mean(accepted, dtype=jnp.float32))
    participated = state.participated + jnp.asarray(participating, jnp.int32)
    return State(state.round + 1, server, sites, participated, held, state.key)


def _site_key(state: State, site: Array) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(state.key, state.round), site)


def _take(stacked: Any, site: Array) -> Any:
    return jax.tree.map(lambda x: x[site], stacked)


def _where(condition: Array | np.bool_, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda y, n: jnp.where(condition, y, n), yes, no)


def _spread(by_site: dict[int, Metrics], sites: int) -> Metrics:
    """Puts the sites' metrics into arrays over S: NaN, or False, where a site was absent."""
    spread: Metrics = {"accepted": np.zeros(sites, bool)}
    for site, metrics in jax.device_get(by_site).items():
        for name, value in metrics.items():
            spread.setdefault(name, np.full(sites, np.nan, np.float32))[site] = value
    return spread


def _stack(row: list[Batch | None]) -> Batch:
    like = next(batch for batch in row if batch is not None)
    idle = jax.tree.map(np.zeros_like, like)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(b or idle for b in row))
