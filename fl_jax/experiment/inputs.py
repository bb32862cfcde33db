"""`inputs.json` records the inputs of an arm's training, which resumes with the same ones only."""

import json
from typing import Any

import msgspec

from fl_jax.data import slices as datasets
from fl_jax.experiment import data
from fl_jax.experiment.config import FIELDS, Config
from fl_jax.files import atomic, folders
from fl_jax.files.regular import sha256
from fl_jax.files.structs import read_struct
from fl_jax.workdir import ArmFolder, Workdir

REMEDY = "restore it from a copy, or remove its folder and train again"
EXTRA = ("dataset", "partition_digest", "backbone_inputs")
"""Entries besides the config's fields."""


def of(config: Config, workdir: Workdir) -> dict[str, Any]:
    """What decides an arm's numbers: config fields, and digests of dataset, partition and backbone.

    Raises:
        ValueError: the backbone is not trained.
    """
    parts = config.numbers()
    parts["dataset"] = datasets.identity(data.data_dir(config, workdir))
    parts["partition_digest"] = sha256(workdir.partition)
    backbone = data.backbone_workdir(config)
    if backbone is not None:
        path = backbone.arm(data.backbone_name(config)).inputs
        if not path.exists():
            raise ValueError(
                f"config.backbone={config.backbone!r}: there is no {path}; train it with launch.experiment, "
                "or choose another with config.backbone_model"
            )
        parts |= {"backbone": str(backbone), "backbone_inputs": sha256(path)}
    return json.loads(json.dumps(parts))


def read(arm: ArmFolder) -> dict[str, Any] | None:
    """Reads an arm's `inputs.json`; None if there is none.

    Returns:
        The fields of the config that decide numbers, and the digests.

    Raises:
        ValueError: names the file, the field, its value and a remedy.
    """
    path = arm.inputs
    values = read_struct(path, dict[str, Any], remedy=REMEDY)
    if values is None:
        return None
    lacking = [name for name, field in FIELDS.items() if field.numbers and name not in values]
    try:
        lacking += [name for name in ("dataset", "partition_digest") if name not in values]
        if lacking:
            raise ValueError(f"lacks {lacking[0]}")
        try:
            msgspec.convert(values["dataset"], tuple[str | None, dict[str, Any] | None])
        except msgspec.ValidationError as error:
            raise ValueError(f"dataset is {values['dataset']!r:.100}: {error}") from error
        config_of(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {REMEDY}") from error
    return values


def config_of(values: dict[str, Any]) -> Config:
    """The config in an `inputs.json`; fields that decide no numbers have their defaults."""
    return Config.parse({name: value for name, value in values.items() if name not in EXTRA})


def check(config: Config, workdir: Workdir) -> None:
    """Refuses to resume an arm that was trained from other inputs.

    Raises:
        ValueError: names what differs.
    """
    arm, now = workdir.arm(config.arm_name), of(config, workdir)
    then = read(arm)
    if then is None:
        if arm.checkpoints.exists() or arm.done.exists():
            raise ValueError(f"{arm.inputs} is missing, though the arm was trained; {REMEDY}")
        then = now
    differ = sorted(k for k in then | now if then.get(k) != now.get(k))
    if differ:
        shown = "; ".join(f"{k}: {then.get(k)!r} there, {now.get(k)!r} now" for k in differ)
        raise ValueError(
            f"{arm} was trained from other inputs ({shown}): "
            "use another --workdir, or remove that folder"
        )


def write(config: Config, workdir: Workdir) -> None:
    """Writes an arm's inputs into its folder, for `check`."""
    path = workdir.arm(config.arm_name).inputs
    folders.make(path.parent)
    atomic.write_json(path, of(config, workdir))
