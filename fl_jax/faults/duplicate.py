"""A message that arrives more than once: a transfer that was tried again although it had succeeded."""

from collections.abc import Sequence
from typing import Any

import jax

from fl_jax.core.types import Arrival
from fl_jax.faults.fault import Fault, at


def duplicate(sites: int | Sequence[int], share: float = 1.0, *, copies: int = 2) -> Fault:
    """Makes the fault; see `faulty.at`. The server takes one message a site and round, and counts the rest.

    Args:
        sites: whom it may strike.
        share: how often.
        copies: at least 2.

    Raises:
        ValueError: for an argument out of its range.
    """
    if copies < 2:
        raise ValueError(f"duplicate: copies={copies}: must be at least 2; 1 is no fault")

    def sends(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        del key
        return memory, arrival._replace(copies=arrival.copies * copies)

    return at("duplicate", sites, share, sends=sends)
