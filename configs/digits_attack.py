"""Do robust aggregators help? Four of twenty sites send the negative of their update.

    python -m launch.sweep --config=configs/digits_attack.py --workdir=runs/digits_attack

Test accuracy, five seeds (940 runs):

- Similar sites, flipped updates scaled by 10: the mean ends at chance (0.100), every robust rule survives
  (0.935 to 0.973; 0.976 without an attack).
- The skewed sites of `digits_skew`: a robust rule mistakes what few sites know for an outlier. Even without
  an attack the median costs 0.11, the trimmed mean 0.07, Bulyan 0.27, and Krum, which keeps one site, 0.59;
  centred clipping and the geometric median cost at most 0.01. Under attack every rule loses (0.37 to 0.92).
  The mean ends at chance if flipped updates are scaled by 10, but beats Krum if they are not (0.56 against
  0.37). Multi-Krum, which drops six of twenty, does best.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import digits_skew

BYZANTINE = 4


def get_config() -> ConfigDict:
    config = digits_skew.get_config()
    config.base = digits_skew.base()
    config.base.update(min_sites=20)  # all four attackers take part in every round
    config.reference = "mean, nobody flips"
    config.rows = rows()
    return config


def rows() -> ConfigDict:
    """The aggregators under each attack; each knows the true number of attackers."""
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
        "alike, flipped x 10": {"alpha": 100.0, "faults": (flip.format(10.0),)},
        "skewed, flipped x 1": {"faults": (flip.format(1.0),)},
        "skewed, flipped x 10": {"faults": (flip.format(10.0),)},
    }
    result = {}
    for panel, attack in panels.items():
        for name, row in aggregators.items():
            result[f"{panel}/{name}"] = row | attack
        result[f"{panel}/mean, nobody flips"] = attack | {"faults": ()}
        if "faults" in attack:
            result[f"{panel}/mean"] = attack
    return ConfigDict(result, sort_keys=False)
