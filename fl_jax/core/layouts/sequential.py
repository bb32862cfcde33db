"""The sequential layout: site after site, one jitted step per batch, donated buffers."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core import trees
from fl_jax.core import weighting as weightings
from fl_jax.core.keys import site_key
from fl_jax.core.layouts import closure, common
from fl_jax.core.layouts.common import Batches, Round, State
from fl_jax.core.layouts.first import with_first
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Metrics

Progress = tuple[Any, Any]
"""The site states and the aggregator's state so far in a round."""


@with_first
def sequential(
    algorithm: Algorithm,
    aggregator: Aggregator,
    *,
    sizes: Sequence[float] | None = None,
    weighting: str = "examples",
    steps_per_call: int = 1,
) -> Round:
    """Makes the layout that runs site after site, at the cost of central training.

    For CNNs on full-size slices, and sites of any size. A chained algorithm's server updates after every
    site, as in a round of that site alone; a refused message does not break the chain.

    Args:
        sizes, weighting: see `fl_jax.core.weighting`.
        steps_per_call: K, the steps of a site in one compiled call; with K > 1, a round of at most K steps is
            a single call. Saves dispatch where steps are very short; the device then stores K batches. Each
            number of steps up to K compiles on its first use, on CPU in K times the time of one step.

    Returns:
        A `Round` whose memory grows with S only by the site states and the aggregator's state. The input
        state stays valid.
    """
    common.check_steps_per_call(steps_per_call)
    client, weights = algorithm.client, weightings.make(weighting, sizes)

    def begin(state: State, sites: Any, site: Array) -> Any:
        key = site_key(state.key, state.round, site)
        broadcast = algorithm.broadcast(state.server)
        return client.start(broadcast, trees.take(sites, site), key)

    def end(state: State, progress: Progress, site: Array, local: Any) -> tuple[Progress, Metrics]:
        broadcast = algorithm.broadcast(state.server)
        report, after = client.finish(broadcast, trees.take(progress[0], site), local)
        return common.receive_site(aggregator, weights, state, progress, site, report, after)

    @jax.jit
    def start(state: State, site: Array) -> Any:
        # The first step donates its input: without the copy it would free the global model.
        return trees.copy(begin(state, state.sites, site))

    @partial(jax.jit, donate_argnums=1)
    def whole(
        state: State, progress: Progress, site: Array, batches: list[Batch]
    ) -> tuple[Progress, Metrics]:
        # Reading the site's state from `progress`, where `end` needs it too, reads it once.
        local = begin(state, progress[0], site)
        return end(state, progress, site, common.chain(client.step, local, batches))

    step = closure.jit(client.step)
    several = closure.jit(partial(common.chain, client.step))
    finish = jax.jit(end, donate_argnums=1)

    @jax.jit
    def link(
        server: Any, aggregate: Any, accepted: Array, site: Array, shares: Array
    ) -> tuple[Any, Any]:
        message, emptied = aggregator.finish(aggregate)
        alone = weightings.fraction(shares, jnp.arange(shares.size) == site)
        after = algorithm.server(server, message, alone)
        return trees.where(accepted, (after, emptied), (server, aggregate))

    close = jax.jit(partial(common.close, algorithm, aggregator))
    copy = jax.jit(trees.copy)

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        progress, by_site = copy((state.sites, state.aggregator)), {}
        dropped, shares = np.zeros(len(participating), bool), weights.shares(len(participating))
        feed = iter if trees.platform(state) == "cpu" else common.ahead  # a CPU reads them in place
        for site in map(int, np.flatnonzero(participating)):
            index = np.int32(site)
            programs = common.SitePrograms(
                partial(start, state, index),
                step,
                several,
                partial(whole, state, progress, index),
                partial(finish, state, progress, index),
                steps_per_call,
            )
            result, dropped[site] = common.train(programs, feed(batches(site)))
            if result is None:
                continue
            progress, by_site[site] = result
            if algorithm.chained:
                accepted = by_site[site]["accepted"]
                server, aggregate = link(state.server, progress[1], accepted, index, shares)
                state, progress = state._replace(server=server), (progress[0], aggregate)
        present, metrics = common.stack_metrics(algorithm, aggregator, state, by_site, dropped)
        return close(state, *progress, present, metrics["accepted"], shares), metrics

    return run
