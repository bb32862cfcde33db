"""The whole study on a synthetic cohort, on a laptop.

bash launch/demo.sh
python -m launch.study --config=configs/demo.py --workdir=runs/demo
"""

from ml_collections import ConfigDict

from configs import ich_fed_avg


def get_config() -> ConfigDict:
    config = ich_fed_avg.get_config()
    config.image_size = 96
    config.in_memory = True
    config.optimizer = "adam(1e-3)"
    config.rounds = 12
    config.epochs = 1
    config.fractions = (0.65, 0.15, 0.2)
    return config
