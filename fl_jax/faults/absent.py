"""A site does not participate in a round, such as during a network or power outage."""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at_sites


def absent(sites: int | Sequence[int], share: float = 1.0) -> Fault:
    """Makes the fault; see `fault.at_sites`. The server continues without the site."""
    return at_sites("absent", sites, share, absent=True)
