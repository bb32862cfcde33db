"""How near a federation comes to central training: algorithm, normalisation, local epochs, server optimiser.

    python -m launch.sweep --config=configs/gap_demo.py --workdir=runs/gap_demo
    python -m launch.sweep --config=configs/gap_demo.py --workdir=runs/gap_demo \
        --config.seeds='(0, 1, 2)' --only=group/central,group/local,ROW,ROW

The demo's hospitals, as many training patients, at 48 pixels; three times as many patients are drawn, and
those beyond are test patients, as an interval that excludes a loss of 0.01 takes some hundreds of them. First
each factor by itself with one seed; then the best rows and their panels' central and local models with three:
the second command, and its table.

A panel is what central and federated model share, so that each difference is to the matched central model:
the same initial parameters, examples, optimiser, rounds to choose the best from and schedule. All see as many
examples: 36 passes, whatever the rounds. With a third of them, in batches of 16, every federated model was
still on its way, 0.013 to 0.101 below a central one that had arrived: it takes a fifth of the steps, as the
five sites' steps are at once. Hence longer training, and small batches. A seed decides starting point, order
and participation; test and hold-out patients stay the same.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import demo

PANELS: dict[str, dict[str, Any]] = {
    "group": {},
    "batch": {"model": "resnet(norm='batch')", "statistics": "aggregate"},
    "layer": {"model": "resnet(norm='layer')"},
    "none": {"model": "resnet(norm='none')"},
    "no schedule": {"round_schedule": ""},
    "batches of 16": {"batch_size": 16},
}
FACTORS: dict[str, dict[str, Any]] = {
    "scaffold": {"algorithm": "scaffold(keep_optimizer=True)"},
    "server momentum": {
        "algorithm": "fed_avg(server_optimizer=sgd(1.0, momentum=0.5), keep_optimizer=True)"
    },
    "FedAdam": {
        "algorithm": "fed_avg(server_optimizer=adam(0.003, b1=0.9, b2=0.99, eps=1e-3), "
        "keep_optimizer=True)"
    },
    "fed_prox": {"algorithm": "fed_prox(mu=0.01, keep_optimizer=True)"},
    "an eighth of an epoch a round": {"rounds": 288, "epochs": 0.125},
    "two epochs a round": {"rounds": 18, "epochs": 2.0},
    "four epochs a round": {"rounds": 9, "epochs": 4.0},
    "four or five sites a round": {"min_sites": 4},
    "Adam's moments afresh": {"algorithm": "fed_avg(keep_optimizer=False)"},
}
"""What differs from the first panel's `fed_avg`, one at a time."""


def base() -> ConfigDict:
    """Fields of a run, see `fl_jax/experiment/runners/cohort.py`."""
    config: Any = demo.get_config()
    config.image_size = 48
    config.cohort.scale = 3.0
    config.fractions = (0.24, 0.04, 0.72)
    config.partition_seed = 0
    config.resamples = 500
    config.batch_size = 4
    config.rounds = 72
    config.min_sites = 5
    config.round_schedule = "cosine_decay_schedule(1.0, rounds)"
    return config


def rows() -> ConfigDict:
    """By `PANEL/NAME`; each panel has its central model."""
    found: dict[str, dict[str, Any]] = {}
    for panel, fields in PANELS.items():
        found[f"{panel}/central"] = fields | {"arm": "central"}
        found[f"{panel}/fed_avg"] = fields
    found |= {f"group/{name}": factor for name, factor in FACTORS.items()}
    both = FACTORS["scaffold"] | FACTORS["an eighth of an epoch a round"]
    found["batch/scaffold"] = PANELS["batch"] | FACTORS["scaffold"]
    found["group/scaffold and an eighth of an epoch a round"] = both
    found["batch/scaffold and an eighth of an epoch a round"] = PANELS["batch"] | both
    found["group/local"] = {"arm": "local"}
    return ConfigDict(found, sort_keys=False)


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.runner = "cohort()"
    config.tables = "gaps()"
    config.base = base()
    config.rows = rows()
    config.seeds = (0,)
    config.tuning = ConfigDict({"seeds": (), "grid": {}, "metric": "holdout_micro"})
    config.tuning.highest = True
    config.columns = ConfigDict({"holdout_micro": "hold-out micro AUROC"})
    config.reference = "central"
    config.jobs = 1  # one training at a time
    return config
