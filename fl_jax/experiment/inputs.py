"""What an arm was begun with, read back or refused, so that it goes on with nothing else."""

import json
from pathlib import Path
from typing import Any

from fl_jax.data import slices as datasets
from fl_jax.experiment import data as experiment
from fl_jax.experiment import ranges
from fl_jax.experiment.data import Config
from fl_jax.files import atomic
from fl_jax.files import json_shape as shapes
from fl_jax.files.atomic import sha256

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
_NUMBER = (int, float)
_TEXTS = (
    *("aggregator", "algorithm", "backbone", "backbone_model", "layout", "local_budget", "loss"),
    *("model", "optimizer", "pretrained", "pretrained_channels", "pretrained_digest"),
    *("pretrained_head", "regime", "round_schedule", "sampling", "site", "statistics", "stratify"),
    *("trainable", "void_rounds", "partition"),
)
_COUNTS = ("accumulate", "adjacent", "batch_size", "fold", "folds", "image_size", "min_sites")
_NUMBERS = ("ema", "epochs", "max_degrees", "max_refused", "mixup", "positive_weight_ceiling")
_FIELDS: dict[str, shapes.Shape] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys((*_COUNTS, "rounds", "seed", "slices_at_once", "threads"), int),
    **dict.fromkeys((*_NUMBERS, "study_weight"), _NUMBER),
    **dict.fromkeys(("cached_features", "flip", "remat", "test_flip"), bool),
    "cohort": {"*": _NUMBER},
    "faults": [str],
    "windows": [str],
    "fractions": [_NUMBER],
    "layer_rates": [[(str, *_NUMBER)]],
    "dataset": [(str, dict, None)],
    **dict.fromkeys(("backbone_inputs?", *(f"{name}?" for name in MACHINE)), (str, *_NUMBER)),
    "*": (),  # a name that is none would leave another at what it was `BEFORE`
}


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
                f"config.backbone={config.backbone!r}: there is no {begun}; train it with launch.experiment, "
                "or choose another with config.backbone_model"
            )
        parts |= {"backbone": str(folder), "backbone_inputs": sha256(begun)}
    return json.loads(json.dumps(parts))


def read(path: Path, **lacking: Any) -> dict[str, Any] | None:
    """Reads an `inputs.json`; None where there is none.

    Args:
        path: the file.
        lacking: of fields that came after it, what is taken in place of what is in `BEFORE`.

    Returns:
        The fields, those that came after it, too.

    Raises:
        ValueError: with the file, the field and its value: it is not what a training writes.
    """
    remedy = "restore it from a copy, or remove its folder and train again"
    shape = {f"{name}?" if name in BEFORE else name: kind for name, kind in _FIELDS.items()}
    found = shapes.read(path, shape, remedy)
    if found is None:
        return None
    found = BEFORE | lacking | found
    try:
        ranges.check(found, without=MACHINE)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {remedy}") from error
    return found


def check(config: Config, workdir: Path) -> None:
    """Refuses to go on with an arm that was begun with other inputs.

    Raises:
        ValueError: when they differ; names them.
    """
    path, wanted = _path(config, workdir), of(config, workdir)
    begun = read(path, threads=wanted["threads"]) or wanted
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
    atomic.write_json(path, of(config, workdir))


def _path(config: Config, workdir: Path) -> Path:
    return workdir / "models" / experiment.arm_name(config) / "inputs.json"
