"""Models on the backbones of another experiment: last layers, layers to fine-tune, and study heads.

    python -m launch.experiment --config=configs/recalibrate.py --config.source=DIR --workdir=runs/refitted
    python -m launch.experiment --config=configs/study_head.py --config.backbone=runs/demo --workdir=runs/head

A model of slices starts from all parameters of its backbone, and `config.trainable` says which of them it
trains on. Its dataset may be another than the backbone's, but not the patients on whom it is evaluated.

A study head reads the backbone's features. A frozen backbone's are computed once per slice; with
`config.trainable` the backbone, or part of it, is trained on images together with the head. A study head must
not be evaluated on patients that its backbone was trained or selected on, so both must have the same dataset
and partition.

By default (`config.backbone_model=own`) each arm reads with the model of the same arm: a hospital's local
head uses its local model, which has seen no other hospital's scans. With `federated`, all arms share the
federated backbone, so the comparison isolates the head.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from fl_jax.core.types import Array, Params
from fl_jax.data import partition
from fl_jax.data import slices as datasets
from fl_jax.data.augmentation import augment
from fl_jax.data.slices import Slices
from fl_jax.experiment import data, features, inputs, model, setup
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.model import Network, head_task
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.tasks import fine_tune
from fl_jax.tasks.head_and_backbone import head_and_backbone
from fl_jax.tasks.task import Task
from fl_jax.workdir import Workdir

SAME = ("image_size", "spacing_mm", "intensity", "windows", "adjacent")
"""Fields that decide a slice's pixels and so must equal the backbone's."""
SHOWN = 3
"""Images that a message names."""


class Reader(NamedTuple):
    """A model without its last layer: slices to features.

    Attributes:
        network: the model and its inputs.
        variables: its parameters and running statistics.
        depends_on: what the features depend on besides the slices, for `model.cached`.
        size: F, features per slice.
        head: parameters that a head over it starts from; None for new ones.
    """

    network: Network
    variables: Any
    depends_on: list[Any]
    size: int
    head: Params | None = None


def make_reader(
    network: Network, variables: Any, depends_on: list[Any], shape: tuple[int, ...]
) -> Reader:
    """Makes the reader of slices of a shape.

    Raises:
        ValueError: the model has no features.
    """
    if not isinstance(getattr(network.model, "head", None), str):
        raise ValueError(
            f"config.backbone: {type(network.model).__name__} has no features of a slice; use "
            "resnet, deep_resnet, resnext, se_resnext, densenet or convnext"
        )
    images = jax.eval_shape(network.prepare, jnp.zeros((1, *shape), jnp.int16))
    outputs: Any = jax.eval_shape(
        lambda x: network.model.apply(variables, x, features=True), images
    )
    return Reader(network, variables, depends_on, outputs.shape[-1])


def check_same(config: Config, backbone: Config) -> None:
    """Refuses a config that prepares slices differently from its backbone's, or builds another model on it.

    Raises:
        ValueError: names the fields and the flags that set them right.
    """
    names = SAME if config.reads_studies else (*SAME, "model")
    values = {name: (getattr(config, name), getattr(backbone, name)) for name in names}
    wrong = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    if wrong:
        shown = ", ".join(f"config.{name}={ours!r}" for name, (ours, _) in wrong.items())
        flags = [f'--config.{name}="{theirs}"' for name, (_, theirs) in wrong.items()]
        raise ValueError(f"{shown}: differs from the backbone's experiment; set {' '.join(flags)}")


def check_patients(
    config: Config, workdir: Workdir, slices: Slices, reporter: Reporter = SILENT
) -> None:
    """Refuses a model that could be evaluated on patients that its backbone has seen.

    A model of slices may have another dataset than its backbone. Patients are numbered anew in each, so
    images are compared by name.

    Raises:
        ValueError: the dataset of a study head, or the partition of the same dataset, differs from the
            backbone's; or images of the other dataset that trained or selected it would be evaluated on.
    """
    backbone = data.backbone_workdir(config)
    if backbone is None:
        return
    theirs = inputs.read(backbone.arm(data.backbone_name(config))) or {}
    ours = inputs.of(config, workdir)
    if theirs["dataset"] != ours["dataset"] and not config.reads_studies:
        _check_images(config, workdir, slices, backbone, reporter)
        return
    for name, remedy in (
        ("dataset", "leave config.data_dir and config.source empty to use the backbone's"),
        (
            "partition_digest",
            f"set config.seed and the fields of the partition as there, or copy {backbone.partition} here",
        ),
    ):
        if theirs[name] != ours[name]:
            raise ValueError(
                f"config.backbone={config.backbone!r}: its {name.removesuffix('_digest')} differs, so it may "
                f"have learned from patients that it is evaluated on here; {remedy}"
            )


def _check_images(
    config: Config, workdir: Workdir, slices: Slices, backbone: Workdir, reporter: Reporter
) -> None:
    folder = backbone.find_data()
    if datasets.identity(folder).digest is None:
        reporter.message(
            f"{folder}: is not there, so that the backbone's patients could not be compared with those that "
            "this model is evaluated on"
        )
        return
    before = datasets.load(folder)
    divided = partition.load(backbone.partition, before, same_sites=False)
    seen = {
        *before.image[divided.rows(before, "train")],
        *before.image[divided.rows(before, "validation")],
    }
    here = partition.load(workdir.partition, slices, same_sites=False)
    rows = np.concatenate([here.rows(slices, name) for name in ("validation", "test", "holdout")])
    again = sorted(seen & {*slices.image[rows]})
    if again:
        raise ValueError(
            f"config.backbone={config.backbone!r}: it has learned from {len(again)} of the images that this "
            f"model would be evaluated on, such as {', '.join(again[:SHOWN])}; leave those patients out, or "
            "draw a synthetic cohort with another seed"
        )


def joint_task(config: Config, reader: Reader, positive_weights: np.ndarray | None = None) -> Task:
    """The task of a head and the leaves of its backbone that `config.trainable` matches, on images.

    Raises:
        ValueError: it matches nothing, or `config.model` is no head.
    """
    head, network = head_task(config, reader.size, positive_weights), reader.network
    others = {name: x for name, x in reader.variables.items() if name != "params"}
    params = {
        name: x for name, x in reader.variables["params"].items() if name != network.model.head
    }

    def extract(params: Params, hu: Array) -> jax.Array:
        variables = {**others, "params": params}
        outputs = network.model.apply(variables, network.prepare(hu), features=True)
        assert isinstance(outputs, jax.Array)
        return outputs

    task = head_and_backbone(
        head,
        extract,
        params,
        head_params=reader.head,
        slices_at_once=config.slices_at_once,
        augment=partial(augment, settings=model.augmentation(config)),
    )
    names = traverse_util.flatten_dict({"backbone": params}, sep="/")
    trained = fine_tune.matching(config.trainable, names)
    if not trained:
        raise ValueError(
            f"config.trainable={config.trainable!r}: matches none of the backbone's leaves; there are: "
            f"{', '.join(names)}"
        )
    if len(trained) == len(names):
        return task
    return fine_tune.train_only(task, f"^head/|{config.trainable}", {"backbone": params})


def as_read(
    reader: Reader,
    slices: Slices,
    identity: datasets.Identity | None = None,
    folder: Path | None = None,
) -> Slices:
    """Puts features in place of a dataset's pixels.

    Args:
        reader: computes the features.
        slices: the dataset, its examples slices or studies.
        identity: the dataset's, part of the cached file's name; None for no cache.
        folder: of the cache.
    """
    network, single = reader.network, slices.single_slices()
    if folder is None or identity is None:
        table = features.extract(network.model, reader.variables, network.prepare, single)
    else:
        depends_on = [*identity, *reader.depends_on]
        table = model.cached(network, reader.variables, single, depends_on, folder)
    return features.in_place_of_pixels(slices, table)


def make_task(
    config: Config,
    workdir: Workdir,
    slices: Slices,
    arm: Arm,
    reader: Reader,
    reporter: Reporter = SILENT,
) -> tuple[Task, Slices]:
    """The task of an arm's model and the dataset it reads; a frozen backbone's features are cached.

    Raises:
        ValueError: the backbone may have seen patients on whom the model is evaluated.
    """
    check_patients(config, workdir, slices, reporter)
    weights = setup.loss_weights(config, slices, arm)
    if not config.reads_studies:
        return _on_backbone(config, workdir, slices, weights, reader)
    if config.trainable:
        return joint_task(config, reader, weights), slices
    identity = datasets.identity(data.data_dir(config, workdir))
    return head_task(config, reader.size, weights), as_read(
        reader, slices, identity, workdir.features
    )


def _on_backbone(
    config: Config, workdir: Workdir, slices: Slices, weights: np.ndarray, reader: Reader
) -> tuple[Task, Slices]:
    """The task of a model of slices that starts from its backbone, and the dataset it reads."""
    network = model.network(config, slices.input_shape, weights, reader.variables)
    if not config.cached_features:
        return network.task, slices
    identity = datasets.identity(data.data_dir(config, workdir))
    depends_on = [*identity, *reader.depends_on]
    return model.on_features(config, network, slices, depends_on, workdir.features)
