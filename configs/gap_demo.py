"""How near a federation comes to central training: algorithm, normalisation, local epochs, server optimiser.

    python -m launch.sweep --config=configs/gap_demo.py --workdir=runs/gap_demo
    python -m launch.sweep --config=configs/gap_demo.py --workdir=runs/gap_demo \
        --config.seeds='(0, 1, 2)' --only=central,ROW,ROW

The demo's cohort at 48 pixels. First each factor by itself against the demo's setting, with one seed; then
the best rows and their panels' central and local models with three: the second command, and its table.

A panel is what central and federated model share, so that each difference is to the matched central model:
the same initial parameters, examples, optimiser, checkpoint rule and, where there is one, server average or
schedule. All see as many examples: twelve passes, whatever the rounds. A seed decides starting point, order
and participation; test and hold-out patients stay the same.
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


def often(times: int) -> dict[str, Any]:
    """Averages so many times as often as the demo, over as many examples."""
    return {"rounds": 24 * times, "epochs": 0.5 / times}


def seldom(times: int) -> dict[str, Any]:
    return {"rounds": 24 // times, "epochs": 0.5 * times}


def rows() -> ConfigDict:
    """By `PANEL/NAME`; each panel has its central model."""

    def served(optimizer: str) -> dict[str, Any]:
        return {"algorithm": f"fed_avg(server_optimizer={optimizer})"}

    def algorithm(text: str) -> dict[str, Any]:
        return {"algorithm": text}

    factors: dict[str, dict[str, Any]] = {
        "fed_avg": {},
        "16 times as often": often(16),
        "4 times as often": often(4),
        "half as often": seldom(2),
        "an eighth as often": seldom(8),
        "every site, every round": {"min_sites": 5},
        "Adam's moments afresh": algorithm("fed_avg(keep_optimizer=False)"),
        "fed_prox": algorithm("fed_prox(mu=0.01)"),
        "scaffold": algorithm("scaffold()"),
        "fed_nova": algorithm("fed_nova()"),
        "fed_dyn": algorithm("fed_dyn(alpha=0.01)"),
        "fed_sam": algorithm("fed_sam(rho=0.05)"),
        "cyclic": algorithm("cyclic()") | {"layout": "sequential"},
        "server momentum": served("sgd(1.0, momentum=0.5)"),
        "server steps half as long again": served("sgd(1.5)"),
        "FedAdam": served(f"adam(0.003, {ADAPTIVE})"),
    }
    shared: dict[str, dict[str, Any]] = {
        "group": {},
        "average": {"ema": 0.9},
        "cosine": {"round_schedule": "cosine_decay_schedule(1.0, rounds)"},
        "layer": {"model": "resnet(norm='layer')"},
        "none": {"model": "resnet(norm='none')"},
        "batch": {"model": "resnet(norm='batch')", "statistics": "aggregate"},
    }
    found: dict[str, dict[str, Any]] = {"group/central": {"regime": "central"}}
    found |= {f"group/{name}": fields for name, fields in factors.items()}
    for panel, fields in list(shared.items())[1:]:
        found[f"{panel}/central"] = fields | {"regime": "central"}
        found[f"{panel}/fed_avg"] = fields
        found[f"{panel}/4 times as often"] = fields | often(4)
    found["group/local"] = {"regime": "local"}
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
