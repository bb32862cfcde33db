"""`inputs.json` records what an arm's training started from, so that it never resumes with anything else."""

import json
from pathlib import Path
from typing import Any

import msgspec

from fl_jax.data import slices as datasets
from fl_jax.experiment import data
from fl_jax.experiment.config import FIELDS, Config
from fl_jax.files import atomic
from fl_jax.files.atomic import sha256
from fl_jax.files.structs import read_struct

REMEDY = "restore it from a copy, or remove its folder and train again"
EXTRA = ("dataset", "partition_digest", "backbone_inputs")
"""Entries besides the config's fields: digests of what lies outside the config."""


def of(config: Config, workdir: Path) -> dict[str, Any]:
    """What an arm's numbers depend on: fields of the config, and digests of dataset, partition and backbone.

    Raises:
        ValueError: the backbone is not trained.
    """
    summary = datasets.read_summary(data.data_dir(config, workdir)) or {}
    parts = config.numbers()
    parts["dataset"] = [summary.get("digest"), summary.get("options")]
    parts["partition_digest"] = sha256(workdir / "partition.csv")
    folder = data.backbone_folder(config)
    if folder is not None:
        path = folder / "models" / data.backbone_name(config) / "inputs.json"
        if not path.exists():
            raise ValueError(
                f"config.backbone={config.backbone!r}: there is no {path}; train it with launch.experiment, "
                "or choose another with config.backbone_model"
            )
        parts |= {"backbone": str(folder), "backbone_inputs": sha256(path)}
    return json.loads(json.dumps(parts))


def read(path: Path) -> dict[str, Any] | None:
    """Reads an `inputs.json`; None where there is none.

    Returns:
        The fields of the config that decide numbers, and the digests.

    Raises:
        ValueError: names the file, the field, its value and a remedy.
    """
    values = read_struct(path, dict[str, Any], remedy=REMEDY)
    if values is None:
        return None
    lacking = [name for name, field in FIELDS.items() if field.numbers and name not in values]
    try:
        if lacking or "dataset" not in values:
            raise ValueError(f"lacks {[*lacking, 'dataset'][0]}")
        msgspec.convert(values["dataset"], tuple[str | None, dict[str, Any] | None])
        config_of(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {REMEDY}") from error
    return values


def config_of(values: dict[str, Any]) -> Config:
    """The config in an `inputs.json`; fields that decide no numbers have their defaults."""
    return Config.parse({name: value for name, value in values.items() if name not in EXTRA})


def check(config: Config, workdir: Path) -> None:
    """Refuses to resume an arm whose training started from other inputs.

    Raises:
        ValueError: names what differs.
    """
    path, now = _path(config, workdir), of(config, workdir)
    then = read(path) or now
    differ = sorted(k for k in then | now if then.get(k) != now.get(k))
    if differ:
        shown = "; ".join(f"{k}: {then.get(k)!r} there, {now.get(k)!r} now" for k in differ)
        raise ValueError(
            f"{path.parent} was trained from other inputs ({shown}): "
            "use another --workdir, or remove that folder"
        )


def write(config: Config, workdir: Path) -> None:
    """Writes an arm's inputs into its folder, for `check`."""
    path = _path(config, workdir)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(path, of(config, workdir))


def _path(config: Config, workdir: Path) -> Path:
    return workdir / "models" / config.arm_name / "inputs.json"
