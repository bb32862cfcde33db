"""A site that does not come: its network, its power or its staff are away for the round."""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at


def absent(sites: int | Sequence[int], share: float = 1.0) -> Fault:
    """Makes the fault; see `faulty.at`. The server goes on without the site, see `simulate.rounds`."""
    return at("absent", sites, share, comes=False)
