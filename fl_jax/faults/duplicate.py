"""A message that arrives several times: a client that retries a transfer that had succeeded."""

from collections.abc import Sequence
from typing import Any

import jax

from fl_jax.faults.fault import Arrival, Fault, at_sites


def duplicate(sites: int | Sequence[int], share: float = 1.0, *, copies: int = 2) -> Fault:
    """Makes the fault. The server accepts one message per site and round, and counts the copies.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        copies: at least 2.
    """
    if copies < 2:
        raise ValueError(f"duplicate: copies={copies}: must be at least 2; 1 is no fault")

    def transmit(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        del key
        return memory, arrival._replace(copies=arrival.copies * copies)

    return at_sites("duplicate", sites, share, transmit=transmit)
