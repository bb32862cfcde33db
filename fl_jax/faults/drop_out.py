"""A site leaves in the middle of a round: it has trained, but nothing arrives."""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at_sites


def drop_out(sites: int | Sequence[int], share: float = 1.0, *, after: float = 0.5) -> Fault:
    """Makes the fault. The site keeps its state from before the round.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        after: in [0, 1), the fraction of its steps that the site completes before it leaves.
    """
    if not 0 <= after < 1:
        raise ValueError(f"drop_out: after={after}: must be a fraction of the steps in [0, 1)")
    return at_sites("drop_out", sites, share, steps=after, drops_out=True)
