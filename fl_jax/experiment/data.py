"""From a config to the open dataset, its partition and the plan of every arm of a study."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
from absl import logging

from fl_jax.core import spec
from fl_jax.data import partition as partitions
from fl_jax.data import slices as datasets
from fl_jax.data.adjacent import neighbours
from fl_jax.data.studies import group_into_studies
from fl_jax.experiment import train as study
from fl_jax.experiment.config import Config
from fl_jax.files import atomic
from fl_jax.files import json_shape as shapes
from fl_jax.files.atomic import sha256
from fl_jax.report import partition_figure
from fl_jax.workdir import Workdir

NATURAL = "natural()"
"""The partition that keeps the dataset's own sites; a file of it may not move a patient to another."""


class Experiment(NamedTuple):
    """Data and plan of every arm of a study."""

    slices: datasets.Slices
    partition: partitions.Partition
    arms: dict[str, study.Arm]
    key: jax.Array


def data_dir(config: Config, workdir: Path) -> Path:
    """Where the prepared dataset is; a head reads that of its backbone, unless it is told of another."""
    if config.data_dir:
        return Path(config.data_dir).expanduser()
    backbone_of = backbone_folder(config)
    return (
        workdir / "data"
        if backbone_of is None or config.source
        else Workdir(backbone_of).find_data()
    )


def backbone_folder(config: Config) -> Path | None:
    """The study that a head's backbones are from; None without one, or where its weights are from a file."""
    if not config.backbone or config.pretrained:
        return None
    return Path(config.backbone).expanduser().absolute()


def open_data(config: Config, workdir: Path) -> datasets.Slices:
    """Opens the dataset, with each slice's neighbours where the config asks for them.

    Raises:
        ValueError: when its slices are not of the size that the config asks for; see also `as_read`.
    """
    if logging.get_verbosity() > logging.WARNING:  # TFDS and Orbax report each of their files
        logging.set_verbosity(logging.WARNING)
    slices = datasets.load(data_dir(config, workdir))
    if slices.image_shape != (config.image_size, config.image_size):
        height, width = slices.image_shape
        raise ValueError(
            f"config.image_size={config.image_size}: {data_dir(config, workdir)} holds slices of "
            f"{height} x {width}; set --config.image_size={height}, or prepare another dataset"
        )
    return as_read(config, slices)


def as_read(config: Config, slices: datasets.Slices) -> datasets.Slices:
    """The dataset as the config's model reads it: single slices, each with its neighbours, or studies.

    A head reads features, which `trained.as_read` puts in place of the pixels.

    Raises:
        ValueError: a study lacks a position.
    """
    if config.adjacent == 3:
        slices = dataclasses.replace(slices, adjacent=neighbours(slices))
    return group_into_studies(slices) if config.backbone else slices


def held(config: Config, slices: datasets.Slices) -> datasets.Slices:
    """The dataset in memory where it is within `memory_limit`, or else on disk, from where it streams.

    That of a head on frozen features stays on disk, from where it is read once.
    """
    fits = slices.pixel_bytes <= config.memory_limit * 2**30
    return slices.in_memory() if fits and (not config.backbone or config.trainable) else slices


def partition(
    config: Config,
    workdir: Path,
    slices: datasets.Slices,
    say: Callable[[str], None] = lambda sentence: None,
) -> partitions.Partition:
    """Reads the partition of a workdir, or makes it; it is checked against the dataset either way.

    `partition.json` beside it says what it was made from, `partition.png` shows it. With other inputs it
    is made anew, as long as no training has begun. One that a person wrote or changed is kept, which `say`
    is told. Of two processes that come at once, two models' trainings, one makes it and the other waits.

    Raises:
        ValueError: when trainings were begun with a partition of other inputs.
    """
    with Workdir(workdir).lock("partition", wait=True):
        return _partition(config, workdir, slices, say)


def _partition(
    config: Config, workdir: Path, slices: datasets.Slices, say: Callable[[str], None]
) -> partitions.Partition:
    path, beside = workdir / "partition.csv", workdir / "partition.json"
    scheme = spec.build(config.partition, "fl_jax.data.partition.schemes")
    load = partial(partitions.load, path, slices, same_sites=config.partition == NATURAL)
    wanted = {
        "partition": config.partition,
        "fractions": list(config.fractions),
        "stratify": config.stratify,
        "folds": [config.fold, config.folds],
        "seed": config.seed,
        "dataset": (datasets.read_summary(data_dir(config, workdir)) or {}).get("digest"),
    }
    if path.exists():
        made_from = shapes.read(beside, {"digest?": str}, "make the partition anew") or {}
        if made_from.pop("digest", None) != sha256(path):
            say(f"{path} was written or changed by hand: it is kept")
            return load()
        if made_from == wanted:
            return load()
        if any(workdir.glob("models/*/inputs.json")):
            raise ValueError(
                f"{path} was made from {made_from}, and this is {wanted}: use another --workdir, "
                "or remove its folder models"
            )
    train, validation, test = config.fractions
    made = partitions.by_patient(
        slices,
        fractions=(train, validation, test),
        seed=config.seed,
        scheme=scheme,
        folds=config.folds,
        fold=config.fold,
        stratify=config.stratify,
    )
    path.unlink(
        missing_ok=True
    )  # it is there last or not at all, or it would be taken for a person's
    written = path.with_name("partition.new")
    partitions.save(made, written)
    atomic.write_bytes(path.with_suffix(".png"), partition_figure.draw(slices, made))
    atomic.write_json(beside, wanted | {"digest": sha256(written)})
    written.replace(path)
    return load()


def load(config: Config, workdir: Path) -> Experiment:
    """Opens the dataset and plans the arms.

    Raises:
        ValueError: the config does not fit the data.
    """
    slices = open_data(config, workdir)
    return plan(config, slices, partition(config, workdir, slices))


def plan(config: Config, slices: datasets.Slices, divided: partitions.Partition) -> Experiment:
    """Plans the arms of a dataset that is open and divided."""
    slices = dataclasses.replace(slices, site=divided.sites_of(slices))
    key = jax.random.key(config.seed)
    arms = study.arms(
        slices,
        divided,
        rounds=config.rounds,
        epochs=config.epochs,
        min_sites=config.min_sites,
        key=key,
        local_budget=config.local_budget,
        balanced=config.sampling == "balanced",
    )
    return Experiment(held(config, slices), divided, arms, key)


def backbone_name(config: Config) -> str:
    """Which of the backbone's models gives an arm's features."""
    return config.arm_name if config.backbone_model == "own" else config.backbone_model


def is_complete(config: Config, workdir: Path) -> bool:
    """Whether an arm is trained and has predicted."""
    return Workdir(workdir).is_complete(config.arm_name)
