"""Sign flipping: a site sends the opposite of its update, the simplest Byzantine attack.

a struck site sends  -scale m_s  instead of its message m_s

Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from Heterogeneous
Datasets", AAAI 2019.
"""

from collections.abc import Sequence

from fl_jax.faults.explode import scaled
from fl_jax.faults.fault import Fault, at_sites


def sign_flip(sites: int | Sequence[int], share: float = 1.0, *, scale: float = 1.0) -> Fault:
    """Makes the fault. A robust aggregator is the defence.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        scale: > 0, the magnitude of the flipped message relative to the original; weights stay.
    """
    if not scale > 0:
        raise ValueError(
            f"sign_flip: scale={scale}: must be above 0; leave the fault out for honest sites"
        )
    return at_sites("sign_flip", sites, share, transmit=scaled(-scale))
