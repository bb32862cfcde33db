"""A stale message: a site's update of an older model, from some of its rounds ago.

Xie, Koyejo and Gupta, "Asynchronous Federated Optimization", OPT 2020.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fl_jax.core.trees import per_site
from fl_jax.core.types import Array
from fl_jax.faults.fault import Arrival, Fault, at_sites


class Sent(NamedTuple):
    """A site's last messages and weights (leaves [delay, ...]), oldest first, and their number, int32[]."""

    message: Any
    weight: Array
    stored: Array


def stale(sites: int | Sequence[int], share: float = 1.0, *, delay: int = 1) -> Fault:
    """Makes the fault. The server refuses a message of an earlier round.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        delay: at least 1, how many of its rounds ago the site computed the message; its first message is on
            time. The simulation stores this many messages per site.
    """
    if delay < 1:
        raise ValueError(f"stale: delay={delay}: must be at least 1; 0 is on time")

    def init_memory(message: Any) -> Sent:
        messages, weights = per_site((message, jnp.zeros(())), delay)
        return Sent(messages, weights, jnp.int32(0))

    def transmit(memory: Sent, arrival: Arrival, key: jax.Array) -> tuple[Sent, Arrival]:
        del key
        new = (arrival.message, arrival.weight)
        past = (memory.message, memory.weight)
        queue = jax.tree.map(lambda old, x: jnp.concatenate([old, x[None]]), past, new)
        oldest = delay - memory.stored  # the new message itself where nothing was sent before
        message, weight = jax.tree.map(lambda x: x[oldest], queue)
        age = arrival.age + memory.stored
        late = arrival._replace(message=message, weight=weight, age=age)
        messages, weights = jax.tree.map(lambda x: x[1:], queue)
        return Sent(messages, weights, jnp.minimum(memory.stored + 1, delay)), late

    return at_sites("stale", sites, share, transmit=transmit, init_memory=init_memory)
