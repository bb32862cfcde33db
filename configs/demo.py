"""The whole experiment on a synthetic cohort, in minutes.

    bash launch/demo.sh
    python -m launch.experiment --config=configs/demo.py --workdir=runs/demo

It trains for five epochs, on slices of 96 pixels of 2 mm. A local model takes as many epochs as the
federation, which is what a hospital would compute on its own; `demo_long.py` gives it as many examples.
Micro AUROC on the hold-out, three seeds: federated 0.874 to 0.885, central 0.910 to 0.914.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import ich_fed_avg


def get_config() -> ConfigDict:
    config: Any = ich_fed_avg.get_config()
    config.cohort.matrix = 128
    config.image_size = 96
    config.spacing_mm = 2.0
    config.intensity = "study"
    config.fractions = (0.62, 0.13, 0.25)
    config.max_degrees = 25.0
    config.zoom = 0.15
    config.shift = 0.08
    config.hu_offset = 6.0
    config.hu_gain = 0.04
    config.blur = 0.9
    config.noise = 3.0
    # Few steps from random parameters: small batches, a high rate that decays, small weights of positives.
    config.batch_size = 4
    config.optimizer = "adam(2.5e-3)"
    config.round_schedule = "cosine_decay_schedule(1.0, rounds, 0.02)"
    config.positive_weight_ceiling = 3.0
    # A quarter of an epoch per round: frequent averaging narrows the gap to central training.
    config.rounds = 20
    config.epochs = 0.25
    config.min_sites = 5
    config.local_budget = "epochs"
    config.checkpoint_every = 10
    return config
