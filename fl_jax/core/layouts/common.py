"""What every layout does alike: the state, how a site's part begins and ends, how a round closes."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.keys import site_key, stream
from fl_jax.core.types import Aggregator, Algorithm, Array, Arrival, Batch, Metrics, Params, Report

Batches = Callable[[int], Iterable[Batch]]
"""Site index -> the batches of that site's round, all of one shape; may raise `Dropout`."""
Round = Callable[["State", Batches, np.ndarray], tuple["State", Metrics]]
"""`(state, batches, participating bool[S]) -> (state, metrics)`, each metric with a leading axis S."""


class Dropout(Exception):  # noqa: N818 - an event of the federation, not a mistake
    """Raised by a site's batches when the site goes away in the middle of a round."""


class State(NamedTuple):
    """Everything that a run needs to go on.

    Attributes:
        round: int32[], rounds done.
        server: the algorithm's server state; its `params` is the global model.
        sites: the sites' states, stacked: every leaf has a leading axis S.
        participated: int32[S], in how many rounds each site has sent a message.
        aggregator: the aggregator's state.
        key: the run's key; round r uses `fold_in(key, r)`.
    """

    round: Array
    server: Any
    sites: Any
    participated: Array
    aggregator: Any
    key: jax.Array

    @property
    def params(self) -> Params:
        """The global model."""
        return self.server.params


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
    message = _report(algorithm, server, site, key).message
    like = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), message)
    none = jnp.zeros(sites, jnp.int32)
    return State(jnp.int32(0), server, stacked, none, aggregator.init(like, sites), key)


def refuse_chained(algorithm: Algorithm, layout: str) -> None:
    """Refuses what only `sequential` runs.

    Raises:
        ValueError: when the algorithm is chained.
    """
    if algorithm.chained:
        raise ValueError(
            f"layout {layout!r} trains sites at the same time, and this algorithm hands its model from "
            "site to site: use the layout 'sequential'"
        )


def ahead(batches: Iterable[Batch], device: Any = None) -> Iterable[Batch]:
    """Sends each batch to the device while the one before is trained on; masks, which are asked, stay.

    On CPU, unless a device is given, batches are left as they are: there is no bus to cross.
    """
    if device is None and jax.default_backend() == "cpu":
        return batches
    return _sent(batches, device)


def _sent(batches: Iterable[Batch], device: Any) -> Iterator[Batch]:
    waiting = None
    for batch in batches:
        inputs, labels = jax.device_put((batch.inputs, batch.labels), device)
        if waiting is not None:
            yield waiting
        waiting = batch._replace(inputs=inputs, labels=labels)
    if waiting is not None:
        yield waiting


class Site(NamedTuple):
    """A site's part of a round as compiled programs, see `train`.

    Attributes:
        start: `() -> local`.
        step: `(local, batch) -> local`.
        several: `(local, K batches) -> local`.
        whole: `(1..K batches) -> sent`, start, steps and finish at once.
        finish: `local -> sent`.
        steps_per_call: K.
    """

    start: Callable[[], Any]
    step: Callable[[Any, Batch], Any]
    several: Callable[[Any, list[Batch]], Any]
    whole: Callable[[list[Batch]], Any]
    finish: Callable[[Any], Any]
    steps_per_call: int


def check_steps_per_call(steps_per_call: int) -> None:
    """Refuses a call of no step.

    Raises:
        ValueError: when `steps_per_call` is less than 1.
    """
    if steps_per_call < 1:
        raise ValueError(f"steps_per_call={steps_per_call}: a call takes at least one step")


def chain(step: Callable[[Any, Batch], Any], local: Any, batches: list[Batch]) -> Any:
    """Takes several steps inside a compiled program; written out on CPU, whose loops slow convolutions."""
    if jax.default_backend() == "cpu":
        return reduce(step, batches, local)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
    return jax.lax.scan(lambda held, batch: (step(held, batch), None), local, stacked)[0]


def train(programs: Site, batches: Iterable[Batch]) -> tuple[Any, bool]:
    """Takes a site's steps, one a batch that holds an example.

    A round of no more than K > 1 steps is one call. A longer one is K steps at a time, its last ones, where
    they are fewer, one by one.

    Returns:
        What the site sends, None when it saw no example or dropped out; and whether it dropped out.
    """
    size, local, waiting = programs.steps_per_call, None, []
    try:
        for batch in batches:
            if not np.any(batch.mask):
                continue
            if len(waiting) == size > 1:  # and there is more
                local = programs.several(programs.start() if local is None else local, waiting)
                waiting = []
            waiting.append(batch)
            if size == 1:  # nothing waits for the next batch
                local = programs.step(programs.start() if local is None else local, waiting.pop())
    except Dropout:
        return None, True
    if local is None:
        return (programs.whole(waiting) if waiting else None), False
    if len(waiting) == size:
        local = programs.several(local, waiting)
    else:
        local = reduce(programs.step, waiting, local)
    return programs.finish(local), False


OURS = ("weight", "bytes", "refused", "copies")
"""Metrics beside the algorithm's own, but for `accepted` and `dropped`."""
REFUSED = ("", "unreadable", "not finite", "stale")
"""Why the server left a message out, by the number in the metric `refused`."""


def receive(
    aggregator: Aggregator,
    state: State,
    aggregate: Any,
    site: Array,
    report: Report,
    present: Array | bool = True,
) -> tuple[Any, Metrics]:
    """Adds a site's message unless the site is absent or the message is not one to take, see `REFUSED`."""
    own = site_key(state.key, state.round, site)
    arrival = Arrival(report.message, report.weight, jnp.array(True), jnp.int32(0), jnp.int32(1))
    if aggregator.arrive:
        after, arrival = aggregator.arrive(aggregate, site, arrival, own)
        aggregate = where(jnp.asarray(present), after, aggregate)
    finite = all_finite((arrival.message, arrival.weight))
    refused = jnp.select([~arrival.readable, ~finite, arrival.age > 0], [1, 2, 3], 0)
    weight = arrival.weight
    if aggregator.trusting:
        refused = jnp.where(arrival.readable, 0, refused)
        weight = weight * arrival.copies
    accepted = (refused == 0) & present
    key = stream(own, "aggregate")
    added = aggregator.add(aggregate, site, arrival.message, weight, key)
    metrics = report.metrics | {
        "weight": weight,
        "bytes": jnp.float32(_payload(aggregator, report.message)),
        "refused": jnp.float32(refused),
        "copies": jnp.float32(arrival.copies),
        "accepted": accepted,
    }
    return where(accepted, added, aggregate), metrics  # a zero weight would not hide a NaN


def take_in(
    aggregator: Aggregator,
    state: State,
    held: tuple[Any, Any],
    site: Array,
    report: Report,
    after: Any,
) -> tuple[tuple[Any, Any], Metrics]:
    """Adds a site's message to what is held (sites' states, aggregate), and keeps the site's state."""
    sites, aggregate = held
    aggregate, metrics = receive(aggregator, state, aggregate, site, report)
    kept = where(metrics["accepted"], after, take(sites, site))
    return (jax.tree.map(lambda all, one: all.at[site].set(one), sites, kept), aggregate), metrics


def serve(
    algorithm: Algorithm,
    aggregator: Aggregator,
    state: State,
    sites: Any,
    aggregate: Any,
    present: Array,
    accepted: Array,
) -> State:
    """Closes the round: aggregate, server update, and the state for the next round."""
    server = state.server
    if not algorithm.chained:  # there the server has acted after every site
        message, aggregate = aggregator.finish(aggregate)
        server = algorithm.server(server, message, jnp.mean(accepted, dtype=jnp.float32))
    participated = state.participated + jnp.asarray(present, jnp.int32)
    return State(state.round + 1, server, sites, participated, aggregate, state.key)


def spread(
    algorithm: Algorithm, state: State, by_site: dict[int, Metrics], dropped: np.ndarray
) -> tuple[np.ndarray, Metrics]:
    """Puts the sites' metrics into arrays over S: NaN, or False, where a site sent nothing.

    Returns:
        bool[S], who sent a message, and the metrics.
    """
    shape = dropped.shape
    present = np.isin(np.arange(dropped.size), list(by_site))
    spread: Metrics = {"accepted": np.zeros(shape, bool), "dropped": dropped}
    for site, metrics in jax.device_get(by_site).items():
        for name, value in metrics.items():
            spread.setdefault(name, np.full(shape, np.nan, np.float32))[site] = value
    if not by_site:
        site = jax.tree.map(lambda x: x[0], state.sites)
        reported = _report(algorithm, state.server, site, state.key).metrics
        spread |= {k: np.full(shape, np.nan, np.float32) for k in (*reported, *OURS)}
    return present, spread


def take(stacked: Any, site: Array | int) -> Any:
    """One site's part of what is stacked over S."""
    return jax.tree.map(lambda x: x[site], stacked)


def where(condition: Array | np.bool_, yes: Any, no: Any) -> Any:
    """`jnp.where` leaf by leaf."""
    return jax.tree.map(partial(jnp.where, condition), yes, no)


def all_finite(tree: Any) -> Array:
    """bool[], whether no floating-point array of a tree holds a NaN or an infinity."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def copy(tree: Any) -> Any:
    """New buffers. Jitted functions pass on those that they were given, and what is donated is freed."""
    return jax.tree.map(jnp.copy, tree)


def _report(algorithm: Algorithm, server: Any, site: Any, key: jax.Array) -> Any:
    """Shapes and dtypes of what a site sends."""

    def report() -> Report:
        broadcast = algorithm.broadcast(server)
        local = algorithm.client.start(broadcast, site, key)
        return algorithm.client.finish(broadcast, site, local)[0]

    return jax.eval_shape(report)


def _payload(aggregator: Aggregator, message: Any) -> int:
    """Bytes that a site sends: its message and the float32 weight."""
    if aggregator.payload:
        return aggregator.payload(message) + 4
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(message)) + 4
