"""Heads that read slices in their study, on the features of a study's own models or of pretrained ones.

    python -m launch.experiment --config=configs/study_head.py --config.backbone=runs/demo --workdir=runs/head

A head learns on features that are computed once for each slice, or, with `config.trainable`, together with
the backbone, or a part of it, on images. Every arm reads with its own model of the
backbone's study (`config.backbone_model=own`): a hospital's local head stands on its local model, which has
seen no other hospital's scans, and both have the budgets of their arm. With `federated` all arms read with
the federated model, which tells heads apart and no longer hospitals.

No patient that a backbone was trained or chosen on may be one that a head is judged on: head and backbone
must have the same dataset and the same partition, or the head is refused.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from fl_jax.core import spec
from fl_jax.core.types import Array, Params, Study
from fl_jax.data import slices as datasets
from fl_jax.data import windows
from fl_jax.data.slices import Slices
from fl_jax.experiment import data as experiment
from fl_jax.experiment import features, inputs
from fl_jax.experiment import model as backbone
from fl_jax.experiment import setup as training
from fl_jax.experiment import train as study
from fl_jax.experiment.config import Config
from fl_jax.models.study_head import StudyHead
from fl_jax.tasks import fine_tune
from fl_jax.tasks.head_and_backbone import head_and_backbone
from fl_jax.tasks.multi_label_studies import multi_label_studies
from fl_jax.tasks.task import Task

SAME = ("image_size", "windows", "adjacent")
"""Fields that say how slices are read, and so must be those of the backbone."""


class Reader(NamedTuple):
    """A model without its last layer, which gives the features of slices.

    Attributes:
        network: the model and what it reads.
        variables: its parameters and running statistics.
        depends_on: what the features depend on beside the slices, for `backbone.cached`.
        size: F, features of a slice.
        head: the parameters that a head over it begins with; None for its own beginning.
    """

    network: backbone.Network
    variables: Any
    depends_on: list[Any]
    size: int
    head: Params | None = None


def reader(
    network: backbone.Network, variables: Any, depends_on: list[Any], shape: tuple[int, ...]
) -> Reader:
    """Makes a reader of slices whose inputs have this shape.

    Raises:
        ValueError: for a model that gives no features.
    """
    if not isinstance(getattr(network.model, "head", None), str):
        raise ValueError(
            f"config.backbone: {type(network.model).__name__} gives no features of a slice; take "
            "resnet, deep_resnet, resnext, se_resnext, densenet or convnext"
        )
    images = jax.eval_shape(network.prepare, jnp.zeros((1, *shape), jnp.int16))
    found: Any = jax.eval_shape(lambda x: network.model.apply(variables, x, features=True), images)
    return Reader(network, variables, depends_on, found.shape[-1])


def check_same(config: Config, other: Config) -> None:
    """Refuses a head that would read slices otherwise than its backbone.

    Raises:
        ValueError: names the field.
    """
    for name in SAME:
        mine, theirs = getattr(config, name), getattr(other, name)
        if mine != theirs:
            raise ValueError(
                f"config.{name}={mine!r}: the backbone reads slices with {theirs!r}; set the same"
            )


def check_patients(config: Config, workdir: Path) -> None:
    """Refuses a head that could be judged on patients that its backbone has seen.

    Raises:
        ValueError: when dataset or partition are not the backbone's.
    """
    folder = experiment.backbone_folder(config)
    if folder is None:
        return
    path = folder / "models" / experiment.backbone_name(config) / "inputs.json"
    theirs, ours = inputs.read(path) or {}, inputs.of(config, workdir)
    for name, remedy in (
        ("dataset", "leave config.data_dir and config.source empty, and it is the backbone's"),
        (
            "partition_digest",
            f"set config.seed and its like as there, or copy {folder}/partition.csv here",
        ),
    ):
        if theirs[name] != ours[name]:
            raise ValueError(
                f"config.backbone={config.backbone!r}: its {name.removesuffix('_digest')} differs, so it may "
                f"have learned from patients that it is evaluated on here; {remedy}"
            )


def head_task(config: Config, size: int, positive_weights: np.ndarray | None = None) -> Task:
    """The task of a head on F = `size` features; without weights it is for prediction.

    Raises:
        ValueError: when `config.model` is no head.
    """
    head = spec.build(config.model, "fl_jax.models")
    if not isinstance(head, StudyHead):
        raise ValueError(f"config.model={config.model!r} with a backbone: must be study_head(...)")
    example = Study(jnp.zeros((1, 2, size)), jnp.zeros((1, 2)), jnp.ones((1, 2), bool))
    return multi_label_studies(
        head, example, positive_weights=positive_weights, study_weight=config.study_weight
    )


def joint_task(config: Config, read: Reader, positive_weights: np.ndarray | None = None) -> Task:
    """The task of a head and its backbone, or what `config.trainable` finds of it, on studies of images.

    Raises:
        ValueError: when it finds nothing, or `head_task` objects.
    """
    head, model = head_task(config, read.size, positive_weights), read.network.model
    others = {name: x for name, x in read.variables.items() if name != "params"}
    params = {name: x for name, x in read.variables["params"].items() if name != model.head}

    def features(params: Params, hu: Array) -> jax.Array:
        variables = {**others, "params": params}
        found = model.apply(variables, read.network.prepare(hu), features=True)
        assert isinstance(found, jax.Array)
        return found

    changed = {}
    if config.max_degrees or config.flip:
        how = {"max_degrees": config.max_degrees, "flip": config.flip}
        changed["augment"] = partial(windows.augment, **how)
    task = head_and_backbone(
        head,
        features,
        params,
        head_params=read.head,
        slices_at_once=config.slices_at_once,
        **changed,
    )
    names = traverse_util.flatten_dict({"backbone": params}, sep="/")
    trained = fine_tune.matching(config.trainable, names)
    if not trained:
        raise ValueError(
            f"config.trainable={config.trainable!r}: finds none of the backbone's leaves; there are: "
            f"{', '.join(names)}"
        )
    if len(trained) == len(names):
        return task
    return fine_tune.train_only(task, f"^head/|{config.trainable}", {"backbone": params})


def as_read(
    read: Reader, slices: Slices, summary: Any = None, folder: Path | None = None
) -> Slices:
    """Puts features in place of a dataset's pixels.

    Args:
        read: what gives the features.
        slices: the dataset, its examples slices or studies.
        summary: of the dataset, for the name of the file; None where nothing is to be kept.
        folder: where they are kept.
    """
    made, alone = read.network, slices.single_slices()
    if folder is None or summary is None:
        found = features.extract(made.model, read.variables, made.prepare, alone)
    else:
        depends_on = [summary.get("digest"), summary.get("options"), *read.depends_on]
        found = backbone.cached(made, read.variables, alone, depends_on, folder)
    return features.in_place_of_pixels(slices, found)


def task(
    config: Config, workdir: Path, opened: experiment.Experiment, arm: study.Arm, read: Reader
) -> tuple[Task, Slices]:
    """What an arm's head learns, and from what; features of a frozen backbone are kept in `workdir/features`.

    Raises:
        ValueError: the backbone may have seen patients that the head is evaluated on.
    """
    check_patients(config, workdir)
    weights = training.loss_weights(config, opened.slices, arm)
    if config.trainable:
        return joint_task(config, read, weights), opened.slices
    summary = datasets.read_summary(experiment.data_dir(config, workdir)) or {}
    slices = as_read(read, opened.slices, summary, workdir / "features")
    return head_task(config, read.size, weights), slices
