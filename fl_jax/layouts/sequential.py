"""Site after site, one jitted step a batch, donated buffers: costs what central training costs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.layouts import common
from fl_jax.layouts.common import Batches, Round, State
from fl_jax.types import Aggregator, Algorithm, Array, Metrics


def sequential(algorithm: Algorithm, aggregator: Aggregator, *, steps_per_call: int = 1) -> Round:
    """Makes the layout that runs site after site; for CNNs on full-size slices, and sites of any size.

    A chained algorithm's server acts after every site, as in a round of that site alone; a message that
    is not taken breaks no chain.

    Args:
        algorithm: what sites and server do.
        aggregator: how messages become one.
        steps_per_call: K, how many of a site's steps are one call; the device then holds K batches. For
            steps so short that starting one costs more than doing it. Not for convolutions on CPU, which
            are slow in a loop.

    Returns:
        A `Round` whose memory does not grow with S beyond the sites' kept states and what the
        aggregator keeps. The state passed in stays valid.

    Raises:
        ValueError: when `steps_per_call` is less than 1.
    """
    client = algorithm.client

    @jax.jit
    def start(state: State, site: Array) -> tuple[Any, Any]:
        broadcast = algorithm.broadcast(state.server)
        key = common.site_key(state.key, state.round, site)
        # Without the copy the first step, which donates, would free the global model.
        return broadcast, common.copy(client.start(broadcast, common.take(state.sites, site), key))

    forward = common.advance(client.step, steps_per_call)

    @partial(jax.jit, donate_argnums=3)
    def finish(
        state: State, broadcast: Any, local: Any, held: tuple[Any, Any], site: Array
    ) -> tuple[tuple[Any, Any], Metrics]:
        report, after = client.finish(broadcast, common.take(held[0], site), local)
        return common.take_in(aggregator, state, held, site, report, after)

    @jax.jit
    def link(server: Any, aggregate: Any, accepted: Array, sites: int) -> tuple[Any, Any]:
        message, emptied = aggregator.finish(aggregate)
        after = algorithm.server(server, message, jnp.float32(1) / sites)
        return common.where(accepted, (after, emptied), (server, aggregate))

    close = jax.jit(partial(common.serve, algorithm, aggregator))
    copy = jax.jit(common.copy)

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        held, by_site = copy((state.sites, state.aggregator)), {}
        dropped = np.zeros(len(participating), bool)
        for site in map(int, np.flatnonzero(participating)):
            index = np.int32(site)
            broadcast, local = start(state, index)
            local, dropped[site] = common.train(forward, steps_per_call, local, batches, site)
            if local is None:
                continue
            held, by_site[site] = finish(state, broadcast, local, held, index)
            if algorithm.chained:
                accepted = by_site[site]["accepted"]
                server, aggregate = link(state.server, held[1], accepted, len(dropped))
                state, held = state._replace(server=server), (held[0], aggregate)
        present, metrics = common.spread(algorithm, state, by_site, dropped)
        return close(state, *held, present, metrics["accepted"]), metrics

    return run
