"""Opens an experiment's dataset, partitions its patients, and plans the arms."""

import dataclasses
from functools import partial as bind
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import logging

from fl_jax.core import spec
from fl_jax.data import intensity
from fl_jax.data import partition as partitions
from fl_jax.data import slices as datasets
from fl_jax.data.adjacent import neighbours
from fl_jax.data.partition import Partition
from fl_jax.data.slices import Slices
from fl_jax.data.studies import group_into_studies
from fl_jax.experiment.arms import Arm, plan_arms
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.files import atomic
from fl_jax.files.regular import sha256
from fl_jax.files.structs import read_struct
from fl_jax.workdir import Workdir

NATURAL = "natural()"
"""The partition by the dataset's sites. A hand-written one may then move no patient to another site."""


class Experiment(NamedTuple):
    """The dataset, its partition, the arms by name, and the run's key."""

    slices: Slices
    partition: Partition
    arms: dict[str, Arm]
    key: jax.Array


def load(config: Config, workdir: Workdir, reporter: Reporter = SILENT) -> Experiment:
    """Opens the dataset and plans the arms.

    Raises:
        ValueError: the config does not fit the data.
    """
    slices = open_data(config, workdir)
    return experiment(config, slices, partition(config, workdir, slices, reporter))


class Loader:
    """`load` for several arms of one experiment: reads the files once, and again if they changed."""

    def __init__(self) -> None:
        self._key: Any = None
        self._experiment: Experiment | None = None

    def load(self, config: Config, workdir: Workdir) -> Experiment:
        """As the function `load`."""

        def key() -> Any:
            digest = sha256(workdir.partition) if workdir.partition.exists() else ""
            identity = datasets.identity(data_dir(config, workdir))
            return config.replace(arm="federated", site=""), workdir, identity, digest

        if self._experiment is None or self._key != key():
            self._experiment = load(config, workdir)
            self._key = key()  # `load` may have made the partition
        return self._experiment


def experiment(config: Config, slices: Slices, divided: Partition) -> Experiment:
    """Puts a dataset, in memory if it fits, its partition and the plan of its arms together."""
    arms = plan(config, slices, divided)
    slices = dataclasses.replace(slices, site=divided.sites_of(slices))
    return Experiment(in_memory(config, slices), divided, arms, jax.random.key(config.seed))


def plan(config: Config, slices: Slices, divided: Partition) -> dict[str, Arm]:
    """Plans the arms of a dataset and its partition."""
    return plan_arms(
        dataclasses.replace(slices, site=divided.sites_of(slices)),
        divided,
        rounds=config.rounds,
        epochs=config.epochs,
        min_sites=config.min_sites,
        key=jax.random.key(config.seed),
        local_budget=config.local_budget,
        balanced=config.sampling == "balanced",
    )


def data_dir(config: Config, workdir: Workdir) -> Path:
    """The dataset's folder; the default with a backbone is the backbone's dataset."""
    if config.data_dir:
        return Path(config.data_dir).expanduser()
    backbone = backbone_workdir(config)
    return workdir.data if backbone is None or config.source else backbone.find_data()


def backbone_workdir(config: Config) -> Workdir | None:
    """The experiment that trained the backbones; None without one or with pretrained weights."""
    if not config.backbone or config.pretrained:
        return None
    return Workdir(Path(config.backbone).expanduser().absolute())


def backbone_name(config: Config) -> str:
    """Name of the backbone model that computes an arm's features."""
    return config.arm_name if config.backbone_model == "own" else config.backbone_model


def open_data(config: Config, workdir: Workdir) -> Slices:
    """Opens the dataset and groups its slices into the examples that the config's model reads.

    Raises:
        ValueError: the slices' size or spacing is not the config's, or a study's slice lacks a position.
    """
    if logging.get_verbosity() > logging.WARNING:  # TFDS and Orbax log each of their files
        logging.set_verbosity(logging.WARNING)
    folder = data_dir(config, workdir)
    slices = datasets.load(folder)
    if slices.image_shape != (config.image_size, config.image_size):
        height, width = slices.image_shape
        raise ValueError(
            f"config.image_size={config.image_size}: {folder} has slices of {height} x {width}; set "
            f"--config.image_size={height}, or prepare another dataset"
        )
    if slices.spacing_mm != config.spacing_mm:
        raise ValueError(
            f"config.spacing_mm={config.spacing_mm:g}: {folder} was prepared with {slices.spacing_mm:g}; set "
            f"--config.spacing_mm={slices.spacing_mm:g}, or prepare another dataset"
        )
    return as_read(config, slices)


def as_read(config: Config, slices: Slices) -> Slices:
    """The dataset with the examples of the config's model: slices, slices with neighbours, or studies.

    Brings the studies to one level in HU if the config says so.
    For a head, `restore.as_read` then replaces pixels by features.

    Raises:
        ValueError: a slice of a study lacks a position.
    """
    if config.intensity == "study":
        slices = intensity.levelled(slices)
    if config.adjacent == 3:
        slices = dataclasses.replace(slices, adjacent=neighbours(slices))
    return group_into_studies(slices) if config.reads_studies else slices


def report_intensity(config: Config, slices: Slices, reporter: Reporter) -> None:
    """Reports how far the studies of a dataset, as opened, are shifted, and which are left as they are."""
    if config.intensity == "study":
        reporter.message(intensity.levels(slices).describe())


def in_memory(config: Config, slices: Slices) -> Slices:
    """The dataset in memory if it fits `memory_limit`, else on disk.

    Slices of which a head reads only features stay on disk: they are read once.
    """
    fits = slices.pixel_bytes <= config.memory_limit * 2**30
    once = config.cached_features or (config.reads_studies and not config.trainable)
    return slices.in_memory() if fits and not once else slices


def partition(
    config: Config, workdir: Workdir, slices: Slices, reporter: Reporter = SILENT
) -> Partition:
    """Reads a workdir's partition, or makes and writes it, and checks it against the dataset.

    `partition.json` records its inputs, `partition.png` shows it. If the inputs change, it is made again,
    unless an arm was trained. A partition written or edited by hand is kept, with a message. Safe to call
    from several processes.

    Raises:
        ValueError: an arm was trained with a partition of other inputs.
    """
    with workdir.lock("partition", wait=True):
        return _partition(config, workdir, slices, reporter)


def _partition(config: Config, workdir: Workdir, slices: Slices, reporter: Reporter) -> Partition:
    path, record = workdir.partition, workdir.partition_record
    scheme = spec.build(config.partition, "fl_jax.data.partition.schemes")
    load = bind(partitions.load, path, slices, same_sites=config.partition == NATURAL)
    inputs = {
        "partition": config.partition,
        "fractions": list(config.fractions),
        "stratify": config.stratify,
        "folds": [config.fold, config.folds],
        "seed": config.seed,
        "dataset": datasets.identity(data_dir(config, workdir)).digest,
    }
    if path.exists():
        previous = read_struct(record, dict[str, Any]) or {}
        if previous.pop("digest", None) != sha256(path):
            reporter.message(f"{path}: written or edited by hand, kept")
            return load()
        if previous == inputs:
            return load()
        if workdir.arms():
            raise ValueError(
                f"{path} was made from {previous}, and the config says {inputs}: use another --workdir, "
                "or remove its folder models"
            )
    train, validation, test = config.fractions
    new = partitions.by_patient(
        slices,
        fractions=(train, validation, test),
        seed=config.seed,
        scheme=scheme,
        folds=config.folds,
        fold=config.fold,
        stratify=config.stratify,
    )
    # The table appears last: without its record it would pass for a hand-written one.
    atomic.delete(path)
    temporary = path.with_suffix(".new")
    partitions.save(new, temporary)
    for arm in workdir.arms():  # the table was deleted, and may have been written by hand
        begun = read_struct(arm.inputs, dict[str, Any]) or {}
        if begun.get("partition_digest") != sha256(temporary):
            raise ValueError(
                f"{path} is missing, and {arm} was trained with another one than the config gives: restore "
                "it from a copy, or remove the folder models"
            )
    from fl_jax.report import partition_figure  # imports matplotlib, which a training does not need

    atomic.write_bytes(workdir.partition_picture, partition_figure.draw(slices, new))
    atomic.write_json(record, inputs | {"digest": sha256(temporary)})
    atomic.replace(temporary, path)
    return load()
