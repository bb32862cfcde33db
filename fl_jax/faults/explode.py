"""An exploding message: a diverged training, or a learning rate that is off by orders of magnitude.

m_s becomes  scale m_s
"""

from collections.abc import Sequence
from typing import Any

import jax

from fl_jax.faults.fault import Arrival, Fault, at_sites


def explode(sites: int | Sequence[int], share: float = 1.0, *, scale: float = 1e3) -> Fault:
    """Makes the fault.

    The server accepts the message unless the product overflows. The defence is a robust aggregator, or
    clipping with `process(pre=clip_by_global_norm(...))`.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        scale: > 0.
    """
    if not scale > 0:
        raise ValueError(f"explode: scale={scale}: must be above 0; sign_flip negates the message")
    return at_sites("explode", sites, share, transmit=scaled(scale))


def scaled(factor: float) -> Any:
    """A `Fault.transmit` that multiplies the message, but not its weight."""

    def transmit(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        del key
        message = jax.tree.map(lambda x: (factor * x).astype(x.dtype), arrival.message)
        return memory, arrival._replace(message=message)

    return transmit
