"""Study heads on the features of an experiment's models, or of pretrained ones.

    python -m launch.experiment --config=configs/study_head.py --config.backbone=runs/demo --workdir=runs/head

A frozen backbone's features are computed once per slice; with `config.trainable` the backbone, or part of it,
is trained on images together with the head. By default (`config.backbone_model=own`) each arm reads with the
model of the same arm: a hospital's local head uses its local model, which has seen no other hospital's scans.
With `federated`, all arms share the federated backbone, so the comparison isolates the head.

A head must not be evaluated on patients that its backbone was trained or selected on, so both must have the
same dataset and partition.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from fl_jax.core.types import Array, Params
from fl_jax.data import slices as datasets
from fl_jax.data.augmentation import augment
from fl_jax.data.slices import Slices
from fl_jax.experiment import data, features, inputs, model, setup
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.model import Network, head_task
from fl_jax.tasks import fine_tune
from fl_jax.tasks.head_and_backbone import head_and_backbone
from fl_jax.tasks.task import Task
from fl_jax.workdir import Workdir

SAME = ("image_size", "intensity", "windows", "adjacent")
"""Fields that decide a slice's pixels and so must equal the backbone's."""


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
    """Refuses a head whose config prepares slices differently from its backbone's.

    Raises:
        ValueError: names the field.
    """
    for name in SAME:
        value, expected = getattr(config, name), getattr(backbone, name)
        if value != expected:
            raise ValueError(
                f"config.{name}={value!r}: the backbone reads slices with {expected!r}; set the same"
            )


def check_patients(config: Config, workdir: Workdir) -> None:
    """Refuses a head that could be evaluated on patients that its backbone has seen.

    Raises:
        ValueError: the dataset or the partition differs from the backbone's.
    """
    backbone = data.backbone_workdir(config)
    if backbone is None:
        return
    theirs = inputs.read(backbone.arm(data.backbone_name(config))) or {}
    ours = inputs.of(config, workdir)
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
    config: Config, workdir: Workdir, slices: Slices, arm: Arm, reader: Reader
) -> tuple[Task, Slices]:
    """The task of an arm's head and the dataset it reads; a frozen backbone's features are cached.

    Raises:
        ValueError: the backbone may have seen patients on whom the head is evaluated.
    """
    check_patients(config, workdir)
    weights = setup.loss_weights(config, slices, arm)
    if config.trainable:
        return joint_task(config, reader, weights), slices
    identity = datasets.identity(data.data_dir(config, workdir))
    return head_task(config, reader.size, weights), as_read(
        reader, slices, identity, workdir.features
    )
