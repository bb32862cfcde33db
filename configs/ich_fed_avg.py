"""Federated averaging on a prepared dataset, with the published study's protocol (Neurosurgery 2023; 92:431).

    python -m launch.prepare_data --source=DIR --layout=sites --data_dir=DATA --image_size=256
    python -m launch.experiment --config=configs/ich_fed_avg.py --workdir=runs/ich --config.data_dir=DATA

Windows, augmentation, optimiser, batch size, local epochs, rounds and participation are the published
study's, and are the defaults of `fl_jax.experiment.config.Config`. Patients are split, not images. The model
is a small ResNet, not a ResNeXt-101. `launch.experiment` trains all arms; for one of them use
`launch.train --config.arm=central`, or `--config.arm=local --config.site=SITE`.
"""

from ml_collections import ConfigDict

from fl_jax.experiment.config import config_dict


def get_config() -> ConfigDict:
    return config_dict()
