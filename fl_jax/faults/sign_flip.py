"""Sign flipping: adversarial sites send the opposite of what they learned, the simplest Byzantine fault.

a flipped site sends  -scale m_s  in the place of its message m_s

Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from Heterogeneous
Datasets", AAAI 2019.
"""

from collections.abc import Sequence

from fl_jax.faults.explode import scaled
from fl_jax.faults.fault import Fault, at


def sign_flip(sites: int | Sequence[int], share: float = 1.0, *, scale: float = 1.0) -> Fault:
    """Makes the fault; see `faulty.at`. A robust aggregator is the defence.

    Args:
        sites: whom it may strike; all arrays of their messages, not their weights.
        share: how often.
        scale: > 0, how many times as large the flipped message is.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not scale > 0:
        raise ValueError(
            f"sign_flip: scale={scale}: must be above 0; leave the fault out for honest sites"
        )
    return at("sign_flip", sites, share, sends=scaled(-scale))
