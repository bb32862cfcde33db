"""Site after site, one jitted step a batch, donated buffers: costs what central training costs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.keys import site_key
from fl_jax.core.layouts import common
from fl_jax.core.layouts.common import Batches, Round, State
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Metrics

Held = tuple[Any, Any]
"""The sites' states and the aggregator's."""


def sequential(algorithm: Algorithm, aggregator: Aggregator, *, steps_per_call: int = 1) -> Round:
    """Makes the layout that runs site after site; for CNNs on full-size slices, and sites of any size.

    A chained algorithm's server acts after every site, as in a round of that site alone; a message that
    is not taken breaks no chain.

    Args:
        algorithm: what sites and server do.
        aggregator: how messages become one.
        steps_per_call: K, how many of a site's steps are one call, and with K > 1 a round of no more than
            K steps as a whole; the device then holds K batches. For steps so short that starting one costs
            more than doing it. Each number of steps up to K is compiled when it first occurs, on CPU in
            K times a step's time.

    Returns:
        A `Round` whose memory does not grow with S beyond the sites' kept states and what the
        aggregator keeps. The state passed in stays valid.

    Raises:
        ValueError: when `steps_per_call` is less than 1.
    """
    common.check_steps_per_call(steps_per_call)
    client = algorithm.client

    def begin(state: State, sites: Any, site: Array) -> Any:
        key = site_key(state.key, state.round, site)
        broadcast = algorithm.broadcast(state.server)
        return client.start(broadcast, common.take(sites, site), key)

    def end(state: State, held: Held, site: Array, local: Any) -> tuple[Held, Metrics]:
        broadcast = algorithm.broadcast(state.server)
        report, after = client.finish(broadcast, common.take(held[0], site), local)
        return common.take_in(aggregator, state, held, site, report, after)

    @jax.jit
    def start(state: State, site: Array) -> Any:
        # Without the copy the first step, which donates, would free the global model.
        return common.copy(begin(state, state.sites, site))

    @partial(jax.jit, donate_argnums=1)
    def whole(state: State, held: Held, site: Array, batches: list[Batch]) -> tuple[Held, Metrics]:
        # The site's state is in `held` as in `state`; from where it is needed again, it is read once.
        local = begin(state, held[0], site)
        return end(state, held, site, common.chain(client.step, local, batches))

    step = jax.jit(client.step, donate_argnums=0)
    several = jax.jit(partial(common.chain, client.step), donate_argnums=0)
    finish = jax.jit(end, donate_argnums=1)

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
            programs = common.Site(
                partial(start, state, index),
                step,
                several,
                partial(whole, state, held, index),
                partial(finish, state, held, index),
                steps_per_call,
            )
            sent, dropped[site] = common.train(programs, common.ahead(batches(site)))
            if sent is None:
                continue
            held, by_site[site] = sent
            if algorithm.chained:
                accepted = by_site[site]["accepted"]
                server, aggregate = link(state.server, held[1], accepted, len(dropped))
                state, held = state._replace(server=server), (held[0], aggregate)
        present, metrics = common.spread(algorithm, state, by_site, dropped)
        return close(state, *held, present, metrics["accepted"]), metrics

    return run
