"""Sites over the devices of a mesh, longest first, each device training one site at a time.

Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 1969 (longest first).
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import Any

import jax
import numpy as np

from fl_jax.core.keys import site_key
from fl_jax.core.layouts import common
from fl_jax.core.layouts.common import Batches, Round, State
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Metrics

_copy = jax.jit(common.copy)


def mesh(
    algorithm: Algorithm,
    aggregator: Aggregator,
    over: jax.sharding.Mesh | None = None,
    *,
    sizes: Sequence[float] | None = None,
    steps_per_call: int = 1,
) -> Round:
    """Makes the layout that spreads the sites over devices; for models that fill a device with one site.

    The participating sites stand in one queue, the longest first; a device that is free takes the next
    one and trains it step after step, as `sequential` does. Messages are aggregated in site order on the
    mesh's first device, where the state goes in and out, so the numbers do not depend on how many devices
    there are or which one trained what.

    Args:
        algorithm: what sites and server do.
        aggregator: how messages become one.
        over: a mesh of one axis named `site`; None for all devices. On CPU there are several with
            `XLA_FLAGS=--xla_force_host_platform_device_count=N`.
        sizes: [S] what a round costs at each site, e.g. its examples, in any unit; None: they are alike.
        steps_per_call: see `sequential`.

    Returns:
        A `Round` that calls `batches` from one thread a device. A device holds one site's training at a
        time; a message waits until those of the sites before it are in. A device compiles when it first
        trains a site.

    Raises:
        ValueError: for a chained algorithm, a mesh of other axes, or `steps_per_call` less than 1.
    """
    common.refuse_chained(algorithm, "mesh")
    devices = _devices(over)
    common.check_steps_per_call(steps_per_call)
    client = algorithm.client

    def begin(received: Any, before: Any, key: jax.Array, round: Array, site: Array) -> Any:
        return client.start(received, before, site_key(key, round, site))

    @jax.jit
    def start(received: Any, before: Any, *of: Any) -> Any:
        return common.copy(begin(received, before, *of))

    @jax.jit
    def whole(received: Any, before: Any, *rest: Any) -> Any:
        *of, batches = rest
        local = common.chain(client.step, begin(received, before, *of), batches)
        return client.finish(received, before, local)

    step = jax.jit(client.step, donate_argnums=0)
    several = jax.jit(partial(common.chain, client.step), donate_argnums=0)
    finish = jax.jit(client.finish)
    broadcast = jax.jit(algorithm.broadcast)
    take_in = jax.jit(partial(common.take_in, aggregator), donate_argnums=1)
    close = jax.jit(partial(common.serve, algorithm, aggregator))

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        state = jax.device_put(state, devices[0])
        sent = [
            jax.device_put((broadcast(state.server), state.key, state.round), device)
            for device in devices
        ]
        # From here on no worker asks the first device for anything: its queue is full of training.
        states = jax.device_get(state.sites)
        stop, dropped = Event(), np.zeros(len(participating), bool)
        free: SimpleQueue[int] = SimpleQueue()
        for number in range(len(devices)):
            free.put(number)

        def feed(site: int) -> Iterable[Batch]:
            for batch in batches(site):
                if stop.is_set():
                    return
                yield batch

        def work(site: int) -> Any:
            number = free.get()  # in turn, so that each gets a site where there are enough
            try:
                if stop.is_set():
                    return None
                received, key, round = sent[number]
                index, before = np.int32(site), common.take(states, site)
                of = (received, before, key, round, index)
                put = partial(jax.device_put, device=devices[number])
                programs = common.Site(
                    partial(start, *of),
                    lambda local, batch: step(local, put(batch)),
                    lambda local, batches: several(local, put(batches)),
                    partial(whole, *of),
                    partial(finish, received, before),
                    steps_per_call,
                )
                done, dropped[site] = common.train(programs, feed(site))
                if done is None:
                    return None
                done = jax.block_until_ready(done)
                return jax.device_put(done, devices[0])
            except BaseException:
                stop.set()
                raise
            finally:
                free.put(number)

        cost = np.ones(len(participating)) if sizes is None else sizes
        held, by_site = _copy((state.sites, state.aggregator)), {}
        present = [int(site) for site in np.flatnonzero(participating)]
        with ThreadPoolExecutor(len(devices)) as pool:
            longest_first = sorted(present, key=lambda site: -cost[site])  # stable
            reports = {site: pool.submit(work, site) for site in longest_first}
            try:
                for site in present:
                    if (done := reports[site].result()) is not None:
                        held, by_site[site] = take_in(state, held, np.int32(site), *done)
            except BaseException:
                stop.set()
                raise
        sent_in, metrics = common.spread(algorithm, state, by_site, dropped)
        return close(state, *held, sent_in, metrics["accepted"]), metrics

    return run


def _devices(over: jax.sharding.Mesh | None) -> list[Any]:
    if over is None:
        return jax.local_devices()
    if over.axis_names != ("site",):
        raise ValueError(
            f"over={over}: a mesh of one axis is needed, jax.make_mesh((devices,), ('site',))"
        )
    return list(over.devices.flat)
