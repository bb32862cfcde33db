"""The grid of `gap_demo.py` on a harder federation: sites that see few kinds of bleed, half of the patients.

    python -m launch.sweep --config=configs/gap_hard.py --workdir=runs/gap_hard

The same cohort, dealt to five sites by label (Dirichlet 0.2, where the demo's hospitals differ in case mix),
and half as many patients to train on; the steps are as many.
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
