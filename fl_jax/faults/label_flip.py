"""Label flipping: a site trains on wrong labels, by mistake (an inverted column) or on purpose.

Tolpegin et al., "Data Poisoning Attacks Against Federated Learning Systems", ESORICS 2020.
"""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at_sites


def label_flip(sites: int | Sequence[int], share: float = 1.0, *, how: str = "invert") -> Fault:
    """Makes the fault. A robust aggregator is the defence.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        how: `'invert'`: y becomes 1 - y, for multi-label targets; `'reverse'`: class l of L becomes
            L - 1 - l, for one-hot targets.
    """
    flips = {"invert": lambda labels: 1 - labels, "reverse": lambda labels: labels[..., ::-1]}
    if how not in flips:
        raise ValueError(f"label_flip: how={how!r}: must be one of {', '.join(flips)}")
    return at_sites("label_flip", sites, share, relabel=flips[how])
