"""Builds a config's model and task: new or pretrained, the whole model or its head, on images or features."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core import spec
from fl_jax.core.types import LABELS, Params, Study
from fl_jax.data import windows
from fl_jax.data.augmentation import Augmentation, augment
from fl_jax.data.slices import Identity, Slices
from fl_jax.experiment import features
from fl_jax.files import locks
from fl_jax.files.atomic import atomic_open
from fl_jax.files.npz import read_npz
from fl_jax.files.regular import sha256
from fl_jax.models.pretrained.load import pretrained
from fl_jax.models.study_head import StudyHead
from fl_jax.tasks.fine_tune import initialize_from, train_only
from fl_jax.tasks.flip_average import flip_average
from fl_jax.tasks.losses.cross_entropy import LabelLoss
from fl_jax.tasks.mixup import mixup
from fl_jax.tasks.multi_label import multi_label
from fl_jax.tasks.multi_label_studies import multi_label_studies
from fl_jax.tasks.task import Task

LARGEST_FEATURES = 2**35
"""Bytes of a file of features that are read."""
Config = Any
"""A `fl_jax.experiment.config.Config`; `Config.of` imports this module, so it cannot be imported here."""


class Network(NamedTuple):
    """A config's model.

    Attributes:
        model: the Flax module.
        prepare: HU to its inputs.
        weights: variables by collection that it starts from, pretrained or a backbone's; may be empty.
        task: on slices.
        loss: keyword arguments of `multi_label` that define the loss.
    """

    model: nn.Module
    prepare: Any
    weights: dict[str, Any]
    task: Task
    loss: dict[str, Any]


def network(
    config: Config,
    input_shape: tuple[int, ...],
    positive_weights: np.ndarray | None = None,
    backbone: dict[str, Any] | None = None,
) -> Network:
    """Builds a config's model.

    Args:
        config: the experiment's.
        input_shape: of a slice, see `Config.input_shape`.
        positive_weights: float32[L], for training.
        backbone: variables by collection of the model of `config.backbone`, which it starts from.

    Raises:
        ValueError: fields exclude each other, or the pretrained weights do not fit.
    """
    model = spec.build(config.model, "fl_jax.models")
    if isinstance(model, StudyHead):
        raise ValueError(f"config.model={config.model!r}: reads features; give config.backbone")
    if config.remat:
        if not hasattr(model, "remat"):
            raise ValueError(
                f"config.remat=True: {config.model} has no blocks to recompute; set --noconfig.remat"
            )
        model = model.clone(remat=True)
    example = jnp.zeros((1, *input_shape), jnp.int16)
    prepare = partial(windows.channels, windows=windows.by_name(config.windows))
    if config.trainable and not (config.pretrained or config.backbone):
        raise ValueError(
            f"config.trainable={config.trainable!r}: the other parameters would stay random; "
            "give config.pretrained or config.backbone, or leave it empty"
        )
    running = config.statistics != "frozen"
    if running and config.trainable:
        raise ValueError(
            f"config.statistics={config.statistics!r} with trainable={config.trainable!r}: the "
            "statistics of frozen layers do not change; set --config.statistics=frozen"
        )
    weights: dict[str, Any] = backbone or {}
    if config.pretrained:
        weights = pretrained(
            model,
            jax.eval_shape(prepare, example),
            _weights_file(config),
            digest=config.pretrained_digest,
            head=config.pretrained_head,
            channels=config.pretrained_channels,
        )
    loss = {
        "positive_weights": positive_weights,
        "label_loss": label_loss(config),
        "mix": mixup(config.mixup) if config.mixup else None,
    }
    task = multi_label(
        model,
        example,
        prepare=prepare,
        augment=partial(augment, settings=augmentation(config)),
        micro_batches=config.accumulate,
        **loss,
        frozen={name: x for name, x in weights.items() if name != "params" and not running},
        running=running,
    )
    if config.trainable:
        task = train_only(task, config.trainable, weights["params"])
    elif weights:
        task = initialize_from(task, weights if running else weights["params"])
    if config.test_flip:
        task = flip_average(task)
    return Network(model, prepare, weights, task, loss)


def augmentation(config: Config) -> Augmentation:
    """How a config's training images are augmented."""
    return Augmentation(**{name: getattr(config, name) for name in Augmentation._fields})


def check_unaugmented(config: Config, field: str, what: str) -> None:
    """Refuses a config that augments images whose features are computed once.

    Raises:
        ValueError: names what is on, and how to switch it off.
    """
    on = {name: value for name, value in augmentation(config)._asdict().items() if value}
    if on:
        given = ", ".join(f"{name}={value}" for name, value in on.items())
        flags = [f"--noconfig.{k}" if v is True else f"--config.{k}=0" for k, v in on.items()]
        raise ValueError(
            f"{field} with {given}: {what} are of unaugmented slices; set {' '.join(flags)}"
        )


def label_loss(config: Config) -> LabelLoss:
    """Builds a config's loss.

    Raises:
        ValueError: its weights are not one per label.
    """
    loss: LabelLoss = spec.build(config.loss, "fl_jax.tasks.losses")
    labels = jnp.zeros((1, len(LABELS)))
    jax.eval_shape(loss, labels, labels, labels[0])
    return loss


def head_task(config: Config, size: int, positive_weights: np.ndarray | None = None) -> Task:
    """The task of a head over F = `size` features; training needs `positive_weights`, float32[L].

    Raises:
        ValueError: `config.model` is no head.
    """
    head = spec.build(config.model, "fl_jax.models")
    if not isinstance(head, StudyHead):
        raise ValueError(
            f"config.model={config.model!r}: with a backbone it must be study_head(...)"
        )
    example = Study(jnp.zeros((1, 2, size)), jnp.zeros((1, 2)), jnp.ones((1, 2), bool))
    return multi_label_studies(
        head, example, positive_weights=positive_weights, study_weight=config.study_weight
    )


def on_features(
    config: Config, net: Network, slices: Slices, depends_on: list[Any], folder: Path
) -> tuple[Task, Slices]:
    """The last layer's task and the dataset of features, which are cached, see `cached`.

    Raises:
        ValueError: more than the head is trained, images are augmented, or a field is for whole models only.
    """
    head = check_features(config, net)
    table = cached(net, net.weights, slices, depends_on, folder)
    task = features.head_task(net.task, head, table.shape[1], **net.loss)
    return task, features.in_place_of_pixels(slices, table)


def check_features(config: Config, net: Network) -> str:
    """Checks that a model's last layer alone is trained, without augmentation.

    Returns:
        The last layer's name.

    Raises:
        ValueError: names the field that does not fit `cached_features`.
    """
    check_unaugmented(config, "config.cached_features=True", "cached features")
    whole = {"accumulate": 1, "remat": False, "test_flip": False}
    for name, value in whole.items():
        if getattr(config, name) != value:
            raise ValueError(
                f"config.cached_features=True with {name}={getattr(config, name)}: is for models that read "
                f"images; set --config.{name}={value}"
            )
    head = getattr(net.model, "head", None)
    if not config.trainable or not isinstance(head, str):
        raise ValueError(
            f"config.cached_features=True with trainable={config.trainable!r}, model={config.model!r}: "
            "give pretrained weights or a backbone, and the model's last layer as trainable, such as '^fc/'"
        )
    shapes: Params = jax.eval_shape(net.task.init, jax.random.key(0))
    if set(shapes) != {head}:
        raise ValueError(
            f"config.trainable={config.trainable!r}: with cached_features it must train that layer alone; "
            f"set it to '^{head}/'"
        )
    return head


def facts(config: Config, identity: Identity) -> list[Any]:
    """What the features of a pretrained model depend on, for `cached`."""
    return [
        *(*identity, sha256(_weights_file(config))),
        *(config.model, list(config.windows), config.adjacent, config.pretrained_channels),
        config.intensity,
    ]


def cached(
    net: Network, variables: Any, slices: Slices, depends_on: list[Any], folder: Path
) -> np.ndarray:
    """The features of every slice, float32[N, F], cached as `folder/<digest>.npz`.

    Of several processes that need them, one computes and the others wait.

    Args:
        net: provides `model` and `prepare`.
        variables: of the model.
        slices: the dataset, each slice an example.
        depends_on: all that the features depend on, JSON values; its digest names the file.
        folder: created if missing.

    Raises:
        ValueError: the cached file is damaged, or has other features.
    """
    name = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{name}.npz"
    with locks.lock(folder, name, flag="--workdir", wait=True):
        if not path.exists():
            table = features.extract(net.model, variables, net.prepare, slices)
            with atomic_open(path, "wb") as file:
                np.savez(file, features=table)
            return table
    table = read_npz(path).get("features", np.zeros(()))
    if table.dtype != np.float32 or table.shape[:1] != (len(slices),):
        raise ValueError(
            f"{path}: has {table.dtype}{list(table.shape)} for {len(slices)} slices; delete it"
        )
    return table


def _weights_file(config: Config) -> Path:
    return Path(config.pretrained).expanduser()
