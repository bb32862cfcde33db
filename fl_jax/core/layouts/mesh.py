"""The mesh layout: sites run on several devices, longest first, one site per device at a time.

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

from fl_jax.core import trees
from fl_jax.core import weighting as weightings
from fl_jax.core.keys import site_key
from fl_jax.core.layouts import common
from fl_jax.core.layouts.common import Batches, Round, State
from fl_jax.core.layouts.first import with_first
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Metrics

_copy = jax.jit(trees.copy)


@with_first
def mesh(
    algorithm: Algorithm,
    aggregator: Aggregator,
    over: jax.sharding.Mesh | None = None,
    *,
    sizes: Sequence[float] | None = None,
    weighting: str = "examples",
    steps_per_call: int = 1,
) -> Round:
    """Makes the layout that distributes sites over devices; for models large enough to fill a device each.

    A free device takes the next site from one queue, longest first, and trains it as `sequential` does.
    Messages are aggregated in site order on the mesh's first device, where the state lives, so the numbers
    do not depend on the number of devices or on the schedule.

    Args:
        over: a mesh with the single axis `site`; None for all local devices. On CPU,
            `XLA_FLAGS=--xla_force_host_platform_device_count=N` makes N devices.
        sizes: see `fl_jax.core.weighting`; also the relative cost of a site's round.
        weighting: see `fl_jax.core.weighting`.
        steps_per_call: see `sequential`.

    Returns:
        A `Round` that calls `batches` from one thread per device. A message waits until all earlier sites
        have reported. Each device compiles when it first trains a site.

    Raises:
        ValueError: for a chained algorithm, a mesh with other axes, or `steps_per_call` below 1.
    """
    common.refuse_chained(algorithm, "mesh")
    devices = _devices(over)
    common.check_steps_per_call(steps_per_call)
    client, weights = algorithm.client, weightings.make(weighting, sizes)

    def begin(received: Any, before: Any, key: jax.Array, round: Array, site: Array) -> Any:
        return client.start(received, before, site_key(key, round, site))

    @jax.jit
    def start(received: Any, before: Any, *of: Any) -> Any:
        return trees.copy(begin(received, before, *of))

    @jax.jit
    def whole(received: Any, before: Any, *rest: Any) -> Any:
        *of, batches = rest
        local = common.chain(client.step, begin(received, before, *of), batches)
        return client.finish(received, before, local)

    step = jax.jit(client.step, donate_argnums=0)
    several = jax.jit(partial(common.chain, client.step), donate_argnums=0)
    finish = jax.jit(client.finish)
    broadcast = jax.jit(algorithm.broadcast)
    receive = jax.jit(partial(common.receive_site, aggregator, weights), donate_argnums=1)
    close = jax.jit(partial(common.close, algorithm, aggregator))

    def run(state: State, batches: Batches, participating: np.ndarray) -> tuple[State, Metrics]:
        state = jax.device_put(state, devices[0])
        inputs = [
            jax.device_put((broadcast(state.server), state.key, state.round), device)
            for device in devices
        ]
        # Workers must not read from the first device from here on: they would wait for its training.
        states = jax.device_get(state.sites)
        stop, dropped = Event(), np.zeros(len(participating), bool)
        shares = weights.shares(len(participating))
        free: SimpleQueue[int] = SimpleQueue()
        for number in range(len(devices)):
            free.put(number)

        def feed(site: int) -> Iterable[Batch]:
            for batch in batches(site):
                if stop.is_set():
                    return
                yield batch

        def work(site: int) -> Any:
            number = free.get()  # in turn, so that every device gets a site
            try:
                if stop.is_set():
                    return None
                received, key, round = inputs[number]
                index, before = np.int32(site), trees.take(states, site)
                of = (received, before, key, round, index)
                put = partial(jax.device_put, device=devices[number])
                programs = common.SitePrograms(
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
        progress, by_site = _copy((state.sites, state.aggregator)), {}
        present = [int(site) for site in np.flatnonzero(participating)]
        with ThreadPoolExecutor(len(devices)) as pool:
            longest_first = sorted(present, key=lambda site: -cost[site])  # stable
            reports = {site: pool.submit(work, site) for site in longest_first}
            try:
                for site in present:
                    if (done := reports[site].result()) is not None:
                        progress, by_site[site] = receive(state, progress, np.int32(site), *done)
            except BaseException:
                stop.set()
                raise
        reported, metrics = common.stack_metrics(algorithm, aggregator, state, by_site, dropped)
        return close(state, *progress, reported, metrics["accepted"], shares), metrics

    return run


def _devices(over: jax.sharding.Mesh | None) -> list[Any]:
    if over is None:
        return jax.local_devices()
    if over.axis_names != ("site",):
        raise ValueError(
            f"over={over}: needs the single axis 'site': jax.make_mesh((devices,), ('site',))"
        )
    return list(over.devices.flat)
