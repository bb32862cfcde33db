"""Does a robust mean help? Four of twenty sites send the opposite of what they learned.

    python -m launch.sweep --config=configs/digits_attack.py --workdir=runs/digits_attack

RESULT
"""

from typing import Any

from ml_collections import ConfigDict

from configs import digits_skew

BYZANTINE = 4


def get_config() -> ConfigDict:
    config = digits_skew.get_config()
    config.base = digits_skew.base()
    config.base.update(min_sites=20)  # every rule sees the four among twenty, in every round
    config.reference = "mean, nobody flips"
    config.rows = rows()
    return config


def rows() -> ConfigDict:
    """The aggregators, under each kind of attack; each is told the true number of attackers."""
    radii = (0.1, 0.3, 1.0, 3.0)
    aggregators: dict[str, dict[str, Any]] = {
        "median": {"aggregator": "median()"},
        "trimmed_mean": {"aggregator": "trimmed_mean(trim=0.2)"},
        "krum": {"aggregator": f"krum(byzantine={BYZANTINE})"},
        "krum, best 14": {"aggregator": f"krum(byzantine={BYZANTINE}, keep=14)"},
        "bulyan": {"aggregator": f"bulyan(byzantine={BYZANTINE})"},
        "geometric_median": {"aggregator": "geometric_median()"},
        "centered_clip": {
            "grid": {"aggregator": tuple(f"centered_clip(radius={radius})" for radius in radii)}
        },
    }
    flip = f"sign_flip(sites={tuple(range(BYZANTINE))}, scale={{}})"
    panels = {
        "skewed, nobody flips": {},
        "alike, flipped x 10": {"alpha": 100.0, "fault": flip.format(10.0)},
        "skewed, flipped x 1": {"fault": flip.format(1.0)},
        "skewed, flipped x 10": {"fault": flip.format(10.0)},
    }
    found = {}
    for panel, attack in panels.items():
        for name, row in aggregators.items():
            found[f"{panel}/{name}"] = row | attack
        found[f"{panel}/mean, nobody flips"] = attack | {"fault": ""}
        if "fault" in attack:
            found[f"{panel}/mean"] = attack
    return ConfigDict(found, sort_keys=False)
