"""A site that goes away in the middle of a round: it has trained, and nothing of it arrives."""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at


def drop_out(sites: int | Sequence[int], share: float = 1.0, *, after: float = 0.5) -> Fault:
    """Makes the fault; see `faulty.at`. The site keeps the state that it had before the round.

    Args:
        sites: whom it may strike.
        share: how often.
        after: in [0, 1), the part of its steps that the site takes before it goes.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not 0 <= after < 1:
        raise ValueError(f"drop_out: after={after}: must be a part of the steps, in [0, 1)")
    return at("drop_out", sites, share, steps=after, leaves=True)
