"""Parts shared by all layouts: the state, a site's local training, and the end of a round."""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.keys import site_key
from fl_jax.core.receive import receive
from fl_jax.core.trees import per_site, put, take, where
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Metrics, Params, Report
from fl_jax.core.weighting import Weighting, fraction

Batches = Callable[[int], Iterable[Batch]]
"""Site index -> the batches of that site's round, all of one shape; may raise `Dropout`."""
Round = Callable[["State", Batches, np.ndarray], tuple["State", Metrics]]
"""`(state, batches, participating bool[S]) -> (state, metrics)`, each metric with a leading axis S."""


class Dropout(Exception):  # noqa: N818 - an event of the federation, not a mistake
    """Raised by a site's batches when the site leaves in the middle of a round."""


class State(NamedTuple):
    """The complete state of a federated run.

    Attributes:
        round: int32[], completed rounds.
        server: the algorithm's server state; its `params` is the global model.
        sites: the site states, stacked: every leaf has a leading axis S.
        participated: int32[S], the number of rounds in which each site sent a message.
        aggregator: the aggregator's state; with `Algorithm.first`, a pair of them.
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
    """Makes the state before the first round of `sites` >= 1 sites; `params` is the initial model."""
    if sites < 1:
        raise ValueError(f"sites={sites}: a federation has at least one site")
    server = algorithm.init_server(params)
    site = algorithm.init_site(params)
    stacked = per_site(site, sites)

    def empty(exchange: Algorithm) -> Any:
        message = _report_shapes(exchange, server, site, key).message
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), message)
        return aggregator.init(zeros, sites)

    aggregate = empty(algorithm)
    if algorithm.first is not None:
        aggregate = empty(algorithm.first), aggregate
    participated = jnp.zeros(sites, jnp.int32)
    return State(jnp.int32(0), server, stacked, participated, aggregate, key)


def refuse_chained(algorithm: Algorithm, layout: str) -> None:
    """Refuses a chained algorithm in a layout that cannot run it."""
    if algorithm.chained:
        raise ValueError(
            f"layout {layout!r} trains sites at the same time, and this algorithm passes its model from "
            "site to site: use the layout 'sequential'"
        )


def check_steps_per_call(steps_per_call: int) -> None:
    """Checks the number of steps per call."""
    if steps_per_call < 1:
        raise ValueError(f"steps_per_call={steps_per_call}: a call takes at least one step")


def ahead(batches: Iterable[Batch], device: Any = None) -> Iterator[Batch]:
    """Copies each batch to the device while the previous one trains; masks stay on the host.

    Args:
        batches: a site's.
        device: where to; None for JAX's default.
    """
    waiting = None
    for batch in batches:
        inputs, labels = jax.device_put((batch.inputs, batch.labels), device)
        if waiting is not None:
            yield waiting
        waiting = batch._replace(inputs=inputs, labels=labels)
    if waiting is not None:
        yield waiting


class SitePrograms(NamedTuple):
    """The compiled programs of one site's round, see `train`.

    Attributes:
        start: `() -> local`.
        step: `(local, batch) -> local`.
        several: `(local, K batches) -> local`.
        whole: `(1..K batches) -> result`: start, steps and finish in one call.
        finish: `local -> result`.
        steps_per_call: K.
    """

    start: Callable[[], Any]
    step: Callable[[Any, Batch], Any]
    several: Callable[[Any, list[Batch]], Any]
    whole: Callable[[list[Batch]], Any]
    finish: Callable[[Any], Any]
    steps_per_call: int


def chain(step: Callable[[Any, Batch], Any], local: Any, batches: list[Batch]) -> Any:
    """Several steps in one program; unrolled for CPU, where XLA's loops slow convolutions."""

    def unrolled(local: Any, batches: list[Batch]) -> Any:
        return reduce(step, batches, local)

    def scanned(local: Any, batches: list[Batch]) -> Any:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        return jax.lax.scan(lambda carry, batch: (step(carry, batch), None), local, stacked)[0]

    return jax.lax.platform_dependent(local, batches, cpu=unrolled, default=scanned)


def train(programs: SitePrograms, batches: Iterable[Batch]) -> tuple[Any, bool]:
    """Runs a site's steps, one per batch with a real example.

    With K > 1, a round of at most K steps is one call. A longer round takes K steps per call, and single
    steps for a shorter remainder.

    Returns:
        The result, None when the site had no example or dropped out; and whether it dropped out.
    """
    size, local, waiting = programs.steps_per_call, None, []
    try:
        for batch in batches:
            if not np.any(batch.mask):
                continue
            if len(waiting) == size > 1:  # another batch follows
                local = programs.several(programs.start() if local is None else local, waiting)
                waiting = []
            waiting.append(batch)
            if size == 1:  # do not wait for the next batch
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


def receive_site(
    aggregator: Aggregator,
    weighting: Weighting,
    state: State,
    progress: tuple[Any, Any],
    site: Array,
    report: Report,
    after: Any,
) -> tuple[tuple[Any, Any], Metrics]:
    """Receives a site's report; stores the site's new state `after` if its message is accepted.

    `state` is from before the round; `progress` are the site states and the aggregator's state so far.
    """
    sites, aggregate = progress
    key = site_key(state.key, state.round, site)
    aggregate, metrics = receive(aggregator, aggregate, site, weighting.weigh(report), key)
    kept = where(metrics["accepted"], after, take(sites, site))
    return (put(sites, site, kept), aggregate), metrics


def close(
    algorithm: Algorithm,
    aggregator: Aggregator,
    state: State,
    sites: Any,
    aggregate: Any,
    present: Array,
    accepted: Array,
    shares: Array,
) -> State:
    """Ends the round: aggregate, server update, and the state for the next round."""
    server = state.server
    if not algorithm.chained:  # a chained server has already updated after every site
        message, aggregate = aggregator.finish(aggregate)
        server = algorithm.server(server, message, fraction(shares, accepted))
    participated = state.participated + jnp.asarray(present, jnp.int32)
    return State(state.round + 1, server, sites, participated, aggregate, state.key)


def stack_metrics(
    algorithm: Algorithm,
    aggregator: Aggregator,
    state: State,
    by_site: dict[int, Metrics],
    dropped: np.ndarray,
) -> tuple[np.ndarray, Metrics]:
    """Stacks the sites' metrics over S: NaN, or False, for sites that sent no message.

    Returns:
        bool[S], which sites sent a message, and the metrics.
    """
    shape = dropped.shape
    present = np.isin(np.arange(dropped.size), list(by_site))
    names = next(iter(by_site.values()), None) or _metric_shapes(algorithm, aggregator, state)
    stacked: Metrics = {name: np.full(shape, np.nan, np.float32) for name in names}
    stacked |= {"accepted": np.zeros(shape, bool), "dropped": dropped}
    for site, metrics in jax.device_get(by_site).items():
        for name, value in metrics.items():
            stacked[name][site] = value
    return present, stacked


def _report_shapes(algorithm: Algorithm, server: Any, site: Any, key: jax.Array) -> Any:
    """Shapes and dtypes of a site's report."""

    def report() -> Report:
        broadcast = algorithm.broadcast(server)
        local = algorithm.client.start(broadcast, site, key)
        return algorithm.client.finish(broadcast, site, local)[0]

    return jax.eval_shape(report)


def _metric_shapes(algorithm: Algorithm, aggregator: Aggregator, state: State) -> Metrics:
    """Shapes and dtypes of the metrics of one received report."""
    report = _report_shapes(algorithm, state.server, take(state.sites, 0), state.key)

    def metrics(aggregate: Any, report: Report) -> Metrics:
        return receive(aggregator, aggregate, jnp.int32(0), report, state.key)[1]

    return jax.eval_shape(metrics, state.aggregator, report)
