"""The demo, trained until it converges; a local model sees as many examples as the federation.

    python -m launch.experiment --config=configs/demo_long.py --workdir=runs/demo_long

Twenty epochs in place of five. Five hospitals' examples cost a local model five times its epochs, so that the
seven trainings take some ten times as long as the demo's.
"""

from ml_collections import ConfigDict

from configs import demo


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.rounds = 80
    config.local_budget = "examples"
    return config
