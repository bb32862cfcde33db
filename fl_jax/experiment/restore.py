"""Restores a trained model from its workdir, without the dataset that it was trained on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util

from fl_jax.core.types import Params
from fl_jax.data import partition
from fl_jax.data.slices import Identity, Slices
from fl_jax.experiment import data, federation, heads, inputs
from fl_jax.experiment import model as models
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.checkpoint_step import untyped
from fl_jax.experiment.config import Config
from fl_jax.experiment.predict import model_of
from fl_jax.experiment.reporter import Reporter
from fl_jax.experiment.rounds import Saved
from fl_jax.tasks.task import Task
from fl_jax.workdir import Workdir


class Trained(NamedTuple):
    """A model to predict with.

    Attributes:
        name: `federated`, `central` or `local_<site>`.
        round: of its parameters, from 1.
        params: the global model's parameters.
        logits: `(params, int16[B, H, W] HU) -> float32[B, L]`; of a head `(params, Study) -> [B, 1 + S, L]`
            over features, or over images if its backbone was trained, too.
        image_size: H = W, pixels.
        config: of its training.
        inputs: what decided its numbers: config, dataset, partition and backbone; see `inputs.read`.
        personal: whether the sites have personal models, too.
        reader: computes a study head's features, with the backbone as the head's training started; None
            for a model of slices.
    """

    name: str
    round: int
    params: Params
    logits: Callable[[Params, Any], jax.Array]
    image_size: int
    config: Config
    inputs: dict[str, Any]
    personal: bool
    reader: heads.Reader | None = None

    @property
    def dataset(self) -> str | None:
        """Digest of the training dataset."""
        return self.inputs["dataset"][0]


def load(
    workdir: Workdir,
    reporter: Reporter,
    name: str = "federated",
    *,
    checkpoint: int | None = None,
) -> Trained:
    """Restores a model without changing the workdir.

    Args:
        workdir: of `launch.experiment` or `launch.train`.
        reporter: gets a message for every damaged checkpoint.
        name: the arm.
        checkpoint: the round whose parameters to restore; None for the best round so far, by validation.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the name is no arm's, `inputs.json` is malformed, no checkpoint can be read, or the
            requested one does not exist.
    """
    folder = workdir.arm(name)
    values = inputs.read(folder)
    if values is None or not folder.checkpoints.is_dir():
        there = ", ".join(arm.name for arm in workdir.arms()) or "none"
        raise FileNotFoundError(
            f"{folder} has no trained model; the workdir has {there}: choose one with --model, or train it "
            "with launch.experiment"
        )
    config = inputs.config_of(values)
    sites = len(partition.load(workdir.partition).sites) if name == "federated" else 1
    feature_reader = reader(config, reporter) if config.backbone else None
    try:
        task = _task(config, feature_reader)
        shapes = jax.eval_shape(lambda: _saved(config, name, task, sites))
    except ValueError as error:
        raise ValueError(f"{folder.inputs}: {error}; {inputs.REMEDY}") from error
    store = Store(folder.checkpoints, read_only=True)
    restored = store.restore(shapes, reporter, step=checkpoint)
    if restored is None:
        raise FileNotFoundError(f"{folder.checkpoints} is empty: train the model first")
    step, saved, facts = restored
    params = saved.best.params if checkpoint is None else saved.state.server.params
    return Trained(
        name=name,
        round=facts["best_round"] if checkpoint is None else step,
        params=jax.tree.map(jnp.asarray, params),
        logits=jax.jit(task.logits),
        image_size=config.image_size,
        config=config,
        inputs=values,
        personal=saved.best.personal is not None,
        reader=feature_reader if config.reads_studies else None,
    )


def _task(config: Config, feature_reader: heads.Reader | None) -> Task:
    if not config.reads_studies or feature_reader is None:
        start = feature_reader.variables if feature_reader else None
        return models.network(config, config.input_shape, backbone=start).task
    if config.trainable:
        return heads.joint_task(config, feature_reader)
    return models.head_task(config, feature_reader.size)


def _saved(config: Config, name: str, task: Task, sites: int) -> Any:
    """What a training of the arm saves, before its first round; typed keys as integers."""
    algorithm, _, state = federation.start(
        config, name, task, sites=sites, key=jax.random.key(config.seed)
    )
    return untyped(Saved(state, model_of(state, algorithm.personal)))


def reader(config: Config, reporter: Reporter) -> heads.Reader:
    """Restores a backbone: a model of another experiment, or pretrained weights.

    Args:
        config: of the model that is trained on it.
        reporter: see `load`.

    Raises:
        FileNotFoundError: as `load`.
        ValueError: as `load`; or the backbone reads slices differently, or has no features.
    """
    backbone, shape = data.backbone_workdir(config), config.input_shape
    if backbone is None:
        pretrained = config.replace(model=config.backbone, backbone="", trainable="")
        network = models.network(pretrained, shape)
        return heads.make_reader(
            network, network.weights, models.facts(pretrained, Identity()), shape
        )
    name = data.backbone_name(config)
    values = inputs.read(backbone.arm(name))
    theirs = inputs.config_of(values) if values else None
    # Before it is loaded, because a backbone that is its own would be loaded without end.
    if theirs and theirs.backbone and not (config.reads_studies and theirs.reads_studies):
        raise ValueError(
            f"config.backbone={config.backbone!r}: has a backbone itself; give that: {theirs.backbone}"
        )
    if theirs and theirs.backbone and (theirs.trainable or not config.trainable):
        raise ValueError(
            f"config.backbone={config.backbone!r}: is a head itself; give its backbone, {theirs.backbone}, "
            "or, where that is frozen, train both: --config.trainable='^backbone/'"
        )
    model = load(backbone, reporter, name)
    heads.check_same(config, model.config)
    if model.reader is not None:
        if model.config.model != config.model:
            raise ValueError(
                f"config.model={config.model!r}: the head that it starts from is {model.config.model}"
            )
        return model.reader._replace(head=model.params)
    network = models.network(model.config, shape)
    variables = model.params
    if model.config.statistics == "frozen":
        frozen = traverse_util.flatten_dict(network.weights.get("params", {}))
        params = traverse_util.unflatten_dict(frozen | traverse_util.flatten_dict(model.params))
        variables = {**network.weights, "params": params}
    return heads.make_reader(network, variables, [model.inputs, model.round], shape)


def as_read(model: Trained, slices: Slices) -> Slices:
    """A dataset with the examples that a model reads; for a head, computes the features of all slices."""
    slices = data.as_read(model.config, slices)
    if model.reader is None or model.config.trainable:
        return slices
    return heads.as_read(model.reader, slices)
