"""A slow site that sends what it has when the round's time is over: fewer steps, a smaller weight."""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at


def straggle(sites: int | Sequence[int], share: float = 1.0, *, done: float = 0.5) -> Fault:
    """Makes the fault; see `faulty.at`. One that sends after the round is over is `stale`.

    Args:
        sites: whom it may strike.
        share: how often.
        done: in [0, 1], the part of its steps that the site has taken by then; one at least.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not 0 <= done <= 1:
        raise ValueError(f"straggle: done={done}: must be a part of the steps, in 0..1")
    return at("straggle", sites, share, steps=done)
