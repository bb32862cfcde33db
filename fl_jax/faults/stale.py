"""A message that comes late: what the site made of an older model, some of its rounds ago.

Xie, Koyejo and Gupta, "Asynchronous Federated Optimization", OPT 2020.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import per_site
from fl_jax.core.types import Array, Arrival
from fl_jax.faults.fault import Fault, at


class Sent(NamedTuple):
    """A site's last messages and weights (leaves [delay, ...]), the oldest first; how many there are."""

    message: Any
    weight: Array
    held: Array


def stale(sites: int | Sequence[int], share: float = 1.0, *, delay: int = 1) -> Fault:
    """Makes the fault; see `faulty.at`. The server leaves out a message that is not of the round.

    Args:
        sites: whom it may strike.
        share: how often.
        delay: at least 1, how many of its own rounds ago the site made the message; as many as there are, so
            that its first message is on time. The server keeps so many messages of each site.

    Raises:
        ValueError: for an argument out of its range.
    """
    if delay < 1:
        raise ValueError(f"stale: delay={delay}: must be at least 1; 0 is on time")

    def remembers(message: Any) -> Sent:
        room = per_site((message, jnp.zeros(())), delay)
        return Sent(room[0], room[1], jnp.int32(0))

    def sends(memory: Sent, arrival: Arrival, key: jax.Array) -> tuple[Sent, Arrival]:
        del key
        new = (arrival.message, arrival.weight)
        kept = (memory.message, memory.weight)
        # Nothing sent yet: the message on time.
        behind = jax.tree.map(lambda old, x: jnp.concatenate([old, x[None]]), kept, new)
        first = delay - memory.held
        message, weight = jax.tree.map(lambda x: x[first], behind)
        late = arrival._replace(message=message, weight=weight, age=arrival.age + memory.held)
        last = jax.tree.map(lambda x: x[1:], behind)
        return Sent(last[0], last[1], jnp.minimum(memory.held + 1, delay)), late

    return at("stale", sites, share, sends=sends, remembers=remembers)
