"""FedBuff: buffered asynchronous aggregation; no round waits for slow sites.

site s:  if idle, x_s = local training from x, due in d rounds, d uniform in 0..max_delay; busy until then
         when due, send (x_s - x) / sqrt(1 + staleness), staleness = server updates since
server:  when the buffer has `buffer` of what all sites count,  x <- x + mean of the buffer;  empty it

Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation", AISTATS 2022.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.core import client
from fl_jax.core.keys import stream
from fl_jax.core.types import Algorithm, Array, Params, Report


class Job(NamedTuple):
    """A site's update, its examples, the server version that it started from, and the rounds until it is
    due."""

    update: Params
    weight: Array
    version: Array
    wait: Array


def fed_buff(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    max_delay: int = 2,
    buffer: float = 0.5,
) -> Algorithm:
    """Makes FedBuff, simulated: a round is the unit of time.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training, reset for each update.
        max_delay: rounds, >= 0; 0 is FedAvg if one round fills the buffer.
        buffer: in (0, 1], what the updates in a full buffer count, as a fraction of all sites: of their
            examples, or with `weighting='equal'` the paper's K / S. A site counts each time it sends.

    Returns:
        The algorithm. The mean is over the updates' examples, or with `weighting='equal'` the paper's over
        updates, see `core.weighting`. A busy site sends zeros, and its loss is of discarded steps. Use it
        with means only: to a median, a busy site is one that wants no change.
    """
    if max_delay < 0 or max_delay != int(max_delay):
        raise ValueError(f"max_delay={max_delay}: must be a whole number of rounds, at least 0")
    if not 0 < buffer <= 1:
        raise ValueError(f"buffer={buffer}: must be above 0 and at most 1, a share")
    base = fed_avg(loss, client_optimizer)

    def init_server(params: Params) -> ServerState:
        extra = client.empty_mean(params), jnp.int32(0)
        return base.init_server(params)._replace(extra=extra)

    def init_site(params: Params) -> Job:
        return Job(optax.tree.zeros_like(params), jnp.zeros(()), jnp.int32(0), jnp.int32(0))

    def start(sent: Any, site: Job, key: jax.Array) -> client.Local:
        delay = jax.random.randint(stream(key, "delay"), (), 0, int(max_delay) + 1, jnp.int32)
        return base.client.start(sent[0], (), key)._replace(extra=delay)

    def finish(sent: Any, site: Job, local: client.Local) -> tuple[Report, Job]:
        report, _ = base.client.finish(sent[0], (), local)
        started = Job(report.message, report.weight, sent[1], local.extra)
        job = optax.tree.where(site.wait > 0, site._replace(wait=site.wait - 1), started)
        staleness, due = sent[1] - job.version, jnp.asarray(job.wait == 0, float)
        # A product, not `where`: 0 times NaN is NaN, so that a bad update is refused at once.
        update = optax.tree.scale(due * jax.lax.rsqrt(1.0 + staleness), job.update)
        metrics = report.metrics | {"examples": job.weight, "due": due, "staleness": staleness}
        return Report(client.RunningMean(update, due), job.weight, metrics), job

    def server(state: ServerState, message: client.RunningMean, fraction: Array) -> ServerState:
        buffered, version = state.extra
        buffered = optax.tree.add_scale(buffered, fraction, message)
        moved = base.server(state, client.mean(buffered), fraction)
        moved = moved._replace(extra=(client.empty_mean(state.params), version + 1))
        full = buffered.weight >= buffer - 1e-5  # sums of rounded fractions
        return optax.tree.where(full, moved, state._replace(extra=(buffered, version)))

    broadcast = lambda server: (server.params, server.extra[1])  # noqa: E731
    clients = base.client._replace(start=start, finish=finish)
    return Algorithm(init_server, init_site, broadcast, clients, server)
