"""A straggler: a slow site that stops at the end of the round, with fewer steps and a smaller weight."""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at_sites


def straggle(sites: int | Sequence[int], share: float = 1.0, *, done: float = 0.5) -> Fault:
    """Makes the fault. For a message that arrives after the round, see `stale`.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        done: in [0, 1], the fraction of its steps that the site completes; at least one step.
    """
    if not 0 <= done <= 1:
        raise ValueError(f"straggle: done={done}: must be a fraction of the steps in [0, 1]")
    return at_sites("straggle", sites, share, steps=done)
