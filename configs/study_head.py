"""Slices read in their study: a head on frozen features of the demo's own models, in the same arms.

    bash launch/demo.sh
    python -m launch.experiment --config=configs/study_head.py --config.backbone=runs/demo --workdir=runs/head
    python -m launch.evaluate --workdir=runs/head --predictions=single=runs/demo/predictions/federated.csv

An example is a study. Hold-out macro AUROC of the federated model with three seeds: 0.946 to 0.950, of its
single slices 0.915; 0.953 to 0.960 with "study_head('gru')". The Transformer is the better one on validation
patients. With config.trainable the backbone is trained, too; see the README.

Each arm's head stands on that arm's own model of the backbone's study, has as many examples a round as every
other, and dataset and partition are the backbone's.
"""

from ml_collections import ConfigDict

from configs import demo


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.backbone = "runs/demo"
    config.model = "study_head('transformer')"
    config.max_degrees, config.flip = 0.0, False  # features are of slices as they are
    config.optimizer = "adam(2e-3)"
    config.batch_size = 8
    config.rounds = 60
    config.epochs = 2.0
    config.layout = (
        "sequential"  # of one step a call: compiling several at once takes longer than training
    )
    return config
