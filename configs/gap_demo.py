"""How near a federation comes to central training: algorithm, normalisation, local epochs, server optimiser.

    python -m launch.sweep --config=configs/gap_demo.py --workdir=runs/gap_demo
    python -m launch.sweep --config=configs/gap_demo.py --workdir=runs/gap_demo \
        --config.seeds='(0, 1, 2)' --only=central,ROW,ROW

The demo's cohort at 48 pixels. First each factor by itself against the demo's setting, with one seed; then
the best rows and their panels' central and local models with three: the second command, and its table.

A panel is what central and federated model share, so that each difference is to the matched central model:
the same initial parameters, examples, optimiser, rounds to choose the best from and, where there is one,
server average or schedule. Panels differ from `half an epoch`, the demo's setting, by what names them. All
see as many examples: twelve passes, whatever the rounds. A seed decides starting point, order and
participation; test and hold-out patients stay the same.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import demo

ADAPTIVE = "b1=0.9, b2=0.99, eps=1e-3"  # as in Reddi et al.


def base() -> ConfigDict:
    """Fields of a run, see `launch/runners/cohort.py`."""
    config = demo.get_config()
    config.image_size = 48
    config.partition_seed = 0
    config.resamples = 500
    return config


def rows() -> ConfigDict:
    """By `PANEL/NAME`; each panel has its central model."""

    def served(optimizer: str) -> dict[str, Any]:
        return {"algorithm": f"fed_avg(server_optimizer={optimizer})"}

    factors: dict[str, dict[str, Any]] = {
        "every site, every round": {"min_sites": 5},
        "server momentum": served("sgd(1.0, momentum=0.5)"),
        "scaffold": {"algorithm": "scaffold()"},
        "FedAdam": served(f"adam(0.003, {ADAPTIVE})"),
        "cyclic": {"algorithm": "cyclic()", "layout": "sequential"},
        "Adam's moments afresh": {"algorithm": "fed_avg(keep_optimizer=False)"},
        "server steps half as long again": served("sgd(1.5)"),
        "fed_prox": {"algorithm": "fed_prox(mu=0.01)"},
        "fed_nova": {"algorithm": "fed_nova()"},
        "fed_dyn": {"algorithm": "fed_dyn(alpha=0.01)"},
        "fed_sam": {"algorithm": "fed_sam(rho=0.05)"},
    }
    often = {"rounds": 96, "epochs": 0.125}
    cosine = {"round_schedule": "cosine_decay_schedule(1.0, rounds)"}
    panels: dict[str, dict[str, Any]] = {
        "half an epoch": {},
        "an eighth": often,
        "cosine": cosine,
        "server average": {"ema": 0.9},
        "an eighth, cosine": often | cosine,
        "one epoch": {"rounds": 12, "epochs": 1.0},
        "four epochs": {"rounds": 3, "epochs": 4.0},
        "layer norm": {"model": "resnet(norm='layer')"},
        "no norm": {"model": "resnet(norm='none')"},
        "batch norm": {"model": "resnet(norm='batch')", "statistics": "aggregate"},
    }
    found: dict[str, dict[str, Any]] = {}
    for panel, fields in panels.items():
        found[f"{panel}/central"] = fields | {"regime": "central"}
        found[f"{panel}/fed_avg"] = fields
    found |= {f"half an epoch/{name}": factor for name, factor in factors.items()}
    found["an eighth, cosine/every site, every round"] = panels["an eighth, cosine"] | {
        "min_sites": 5
    }
    found["half an epoch/local"] = {"regime": "local"}
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
