"""A message that is far too large: a learning rate that is off by orders, a training that diverged.

m_s becomes  scale m_s
"""

from collections.abc import Sequence
from typing import Any

import jax

from fl_jax.core.types import Arrival
from fl_jax.faults.fault import Fault, at


def explode(sites: int | Sequence[int], share: float = 1.0, *, scale: float = 1e3) -> Fault:
    """Makes the fault; see `faulty.at`.

    The message is finite, so the server takes it: a robust aggregator, or clipping with
    `process(pre=clip_by_global_norm(...))`, is the defence. Where the product overflows, it is left out.

    Args:
        sites: whom it may strike.
        share: how often.
        scale: > 0.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not scale > 0:
        raise ValueError(f"explode: scale={scale}: must be above 0; sign_flip has the opposite")
    return at("explode", sites, share, sends=scaled(scale))


def scaled(factor: float) -> Any:
    """What `Fault.sends` is where a message is multiplied; weights are not."""

    def sends(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        del key
        message = jax.tree.map(lambda x: (factor * x).astype(x.dtype), arrival.message)
        return memory, arrival._replace(message=message)

    return sends
