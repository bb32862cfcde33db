"""Label flipping: a site learns from wrong labels, by mistake (a column read inverted) or on purpose.

Tolpegin et al., "Data Poisoning Attacks Against Federated Learning Systems", ESORICS 2020.
"""

from collections.abc import Sequence

from fl_jax.faults.fault import Fault, at


def label_flip(sites: int | Sequence[int], share: float = 1.0, *, how: str = "invert") -> Fault:
    """Makes the fault; see `faulty.at`. A robust aggregator is the defence.

    Args:
        sites: whom it may strike.
        share: how often.
        how: `'invert'`: y becomes 1 - y, for labels that do not exclude one another; `'reverse'`: class l of
            L becomes L - 1 - l, for one-hot labels.

    Raises:
        ValueError: for an argument out of its range.
    """
    wrong = {"invert": lambda labels: 1 - labels, "reverse": lambda labels: labels[..., ::-1]}
    if how not in wrong:
        raise ValueError(f"label_flip: how={how!r}: must be one of {', '.join(wrong)}")
    return at("label_flip", sites, share, label=wrong[how])
