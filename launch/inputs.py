"""What an arm was begun with, so that it goes on with nothing else."""

import json
from pathlib import Path
from typing import Any

from fl_jax.data import slices as datasets
from fl_jax.weights.state_dict import sha256
from launch import experiment, progress
from launch.experiment import Config

MACHINE = (
    *("jobs", "data_dir", "source", "source_layout"),
    *("memory_limit", "resamples", "margin", "survey"),
)
"""Config keys that change where and how a training runs, and not what it gives; the dataset has a digest."""
BEFORE: dict[str, Any] = {
    **{"pretrained": "", "pretrained_digest": "", "pretrained_head": "new"},
    **{"pretrained_channels": "same", "trainable": "", "cached_features": False},
    **{"layer_rates": [], "statistics": "frozen", "round_schedule": "", "accumulate": 1},
    **{"remat": False, "mixup": 0.0, "loss": "cross_entropy()", "sampling": "natural"},
    **{"ema": 0.0, "test_flip": False, "faults": [], "void_rounds": "skip", "threads": 1},
    **{"backbone": "", "backbone_model": "own", "study_weight": 0.5, "slices_at_once": 32},
}
"""What a run that is older than a field of its config was made with."""


def of(config: Config, workdir: Path) -> dict[str, Any]:
    """What a training's numbers depend on: the config without the machine, the dataset, the partition."""
    summary = datasets.read_summary(experiment.data_dir(config, workdir)) or {}
    parts = config.to_dict()
    parts = {name: value for name, value in parts.items() if name not in MACHINE}
    parts["dataset"] = [summary.get("digest"), summary.get("options")]
    parts["partition"] = sha256(workdir / "partition.csv")
    folder = experiment.backbone_folder(config)
    if folder is not None:
        begun = folder / "models" / experiment.backbone_name(config) / "inputs.json"
        if not begun.exists():
            raise ValueError(
                f"config.backbone={config.backbone!r}: there is no {begun}; train it with launch.study, "
                "or choose another with config.backbone_model"
            )
        parts |= {"backbone": str(folder), "backbone_inputs": sha256(begun)}
    return json.loads(json.dumps(parts))


def check(config: Config, workdir: Path) -> None:
    """Refuses to go on with an arm that was begun with other inputs.

    Raises:
        ValueError: when they differ; names them.
    """
    path, wanted = _path(config, workdir), of(config, workdir)
    begun = json.loads(path.read_text()) if path.exists() else wanted
    begun = BEFORE | {"threads": wanted["threads"]} | begun
    differ = sorted(k for k in begun | wanted if begun.get(k) != wanted.get(k))
    if differ:
        shown = "; ".join(f"{k}: {begun.get(k)!r} there, {wanted.get(k)!r} now" for k in differ)
        raise ValueError(
            f"{path.parent} holds a run that was begun with other inputs ({shown}): "
            "use another --workdir, or remove that folder"
        )


def keep(config: Config, workdir: Path) -> None:
    """Writes an arm's inputs into its folder, for `check`."""
    path = _path(config, workdir)
    path.parent.mkdir(parents=True, exist_ok=True)
    progress.write_json(path, of(config, workdir))


def _path(config: Config, workdir: Path) -> Path:
    return workdir / "models" / experiment.arm_name(config) / "inputs.json"
