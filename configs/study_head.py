"""Heads that read slices in their study, over frozen features of the demo's models, in the same arms.

    bash launch/demo.sh
    python -m launch.experiment --config=configs/study_head.py --config.backbone=runs/demo --workdir=runs/head
    python -m launch.evaluate --workdir=runs/head --predictions=single=runs/demo/predictions/federated.csv

The seven heads take 142 CPU-seconds. Macro AUROC of the federated model, seed 0: 0.937 on the hold-out,
single slices 0.846; micro AUROC is 0.003 (-0.006 to 0.013) below central training.

An example is a study. Each arm's head reads with that arm's model of the backbone's experiment, sees as
many examples per round as every other arm, and uses the backbone's dataset and partition.
`config.trainable` trains the backbone, too.
"""

from ml_collections import ConfigDict

from configs import demo
from fl_jax.data.augmentation import NONE


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.backbone = "runs/demo"
    config.model = "study_head('transformer')"
    config.update(NONE._asdict())  # features are of unaugmented slices
    config.optimizer = "adam(2e-3)"
    config.round_schedule = ""
    config.local_budget = "examples"
    config.batch_size = 8
    config.rounds = 60
    config.epochs = 2.0
    config.layout = "sequential"  # one step per call: compiling several takes longer than training
    return config
