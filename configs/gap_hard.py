"""`gap_demo.py` on a harder federation: sites that see few kinds of bleed, and half of the patients.

    python -m launch.sweep --config=configs/gap_hard.py --workdir=runs/gap_hard

The same cohort, assigned to five sites by label (Dirichlet 0.2) instead of the demo's case mix, with half
as many training patients and as many steps. Minus central, seed 0: FedAvg -0.069, SCAFFOLD -0.010,
SCAFFOLD with an eighth of an epoch per round +0.001.
"""

from typing import Any

from configs import gap_demo


def get_config() -> Any:
    config: Any = gap_demo.get_config()
    config.base.partition = "dirichlet(sites=5, alpha=0.2)"
    config.base.fractions = (0.12, 0.04, 0.84)
    config.base.epochs *= 2
    for row in config.rows.values():
        if "epochs" in row:
            row.epochs *= 2
    return config
