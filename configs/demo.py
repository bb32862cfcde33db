"""The whole study on a synthetic cohort, on a laptop.

bash launch/demo.sh
python -m launch.experiment --config=configs/demo.py --workdir=runs/demo
"""

from ml_collections import ConfigDict

from configs import ich_fed_avg


def get_config() -> ConfigDict:
    config = ich_fed_avg.get_config()
    config.image_size = 128
    config.fractions = (0.72, 0.12, 0.16)
    # From random parameters a few thousand steps must do: a faster optimiser, gentler weights.
    config.optimizer = "adam(2e-3)"
    config.positive_weight_ceiling = 3.0
    # Half an epoch a round: averaging often brings the federation nearer to the pooled model.
    config.rounds = 24
    config.epochs = 0.5
    return config
