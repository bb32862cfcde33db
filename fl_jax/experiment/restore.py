"""A model that a study has trained is read back from its workdir, without the data that it learned from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import logging
from flax import traverse_util

from fl_jax.core.types import Params
from fl_jax.data import partition
from fl_jax.data.slices import Slices
from fl_jax.experiment import data as experiment
from fl_jax.experiment import federation, heads, inputs
from fl_jax.experiment import model as backbone
from fl_jax.experiment import train as study
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.config import Config
from fl_jax.workdir.locks import check_name


class Trained(NamedTuple):
    """A model to predict with.

    Attributes:
        name: `federated`, `central` or `local_<site>`.
        round: of which its parameters are, from 1.
        params: the global model's parameters.
        logits: `(params, int16[B, H, W] HU) -> float32[B, L]`; of a head `(params, Study) -> [B, 1 + S, L]`,
            of features or, where its backbone was trained, too, of images.
        image_size: H = W, pixels.
        config: what it was trained with, from `inputs.json`.
        dataset: digest of the dataset that it was trained on, or None.
        personal: whether the sites have models of their own beside it.
        reader: what gives a head its features, or gave them when its training began; None without a head.
    """

    name: str
    round: int
    params: Params
    logits: Callable[[Params, Any], jax.Array]
    image_size: int
    config: Config
    dataset: str | None
    personal: bool
    reader: heads.Reader | None = None


def load(
    workdir: Path,
    name: str = "federated",
    *,
    checkpoint: int | None = None,
    complain: Callable[[str], None],
) -> Trained:
    """Reads a model; nothing in the workdir is changed.

    Args:
        workdir: folder of `launch.experiment` or `launch.train`.
        name: the model's folder in `models/`.
        checkpoint: the round whose parameters to take; None takes the best round so far, by validation.
        complain: called with a sentence for every damaged checkpoint.

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the name is a path, `inputs.json` is spoilt, none of its checkpoints is sound, or the one
            that is asked for is not there.
    """
    check_name(name)
    logging.set_verbosity(logging.ERROR)  # Orbax warns that it will not write, which is asked of it
    folder = workdir / "models" / name
    found = inputs.read(folder / "inputs.json")
    if found is None or not (folder / "checkpoints").is_dir():
        there = sorted(path.parent.name for path in workdir.glob("models/*/inputs.json"))
        raise FileNotFoundError(
            f"{folder} holds no trained model; the workdir has {', '.join(there) or 'none'}: "
            "choose one with --model, or train it with launch.experiment"
        )
    config = inputs.config_of(found)
    sites = 1
    if name == "federated":
        sites = len(partition.load(workdir / "partition.csv").sites)
    read = reader(config, complain=complain) if config.backbone else None
    if read is None:
        task = backbone.network(config, _input_shape(config)).task
    elif config.trainable:
        task = heads.joint_task(config, read)
    else:
        task = heads.head_task(config, read.size)
    algorithm, _, state = federation.start(
        config, name, task, sites=sites, key=jax.random.key(config.seed)
    )
    held = (state, study.model(state, algorithm.personal))
    store = Store(folder / "checkpoints", read_only=True)
    restored = store.restore(held, step=checkpoint, complain=complain)
    store.close()
    if restored is None:
        raise FileNotFoundError(f"{folder}/checkpoints is empty: train the model first")
    step, (state, best), facts = restored
    return Trained(
        name=name,
        round=facts["best_round"] if checkpoint is None else step,
        params=best.params if checkpoint is None else state.server.params,
        logits=jax.jit(task.logits),
        image_size=config.image_size,
        config=config,
        dataset=found["dataset"][0],
        personal=best.personal is not None,
        reader=read,
    )


def reader(config: Config, *, complain: Callable[[str], None]) -> heads.Reader:
    """Reads what gives a head its features: a model of the backbone's study, or pretrained weights.

    Args:
        config: the head's.
        complain: see `load`.

    Raises:
        FileNotFoundError: as `load`.
        ValueError: as `load`, and for a backbone that reads slices otherwise or gives no features.
    """
    folder, shape = experiment.backbone_folder(config), _input_shape(config)
    if folder is None:
        own = config.replace(model=config.backbone, backbone="", trainable="")
        made = backbone.network(own, shape)
        return heads.reader(made, made.given, backbone.facts(own, {}), shape)
    model = load(folder, experiment.backbone_name(config), complain=complain)
    heads.check_same(config, model.config)
    if model.reader is not None:
        if model.config.trainable or not config.trainable:
            raise ValueError(
                f"config.backbone={config.backbone!r}: is a head itself; give its backbone, "
                f"{model.config.backbone}, or, where that is frozen, train both: "
                "--config.trainable='^backbone/'"
            )
        if model.config.model != config.model:
            raise ValueError(
                f"config.model={config.model!r}: the head that it begins from is {model.config.model}"
            )
        return model.reader._replace(head=model.params)
    made = backbone.network(model.config, shape)
    variables = model.params
    if model.config.statistics == "frozen":
        given = traverse_util.flatten_dict(made.given.get("params", {}))
        params = traverse_util.unflatten_dict(given | traverse_util.flatten_dict(model.params))
        variables = {**made.given, "params": params}
    return heads.reader(made, variables, [model.config.to_dict(), model.round], shape)


def as_read(model: Trained, slices: Slices) -> Slices:
    """A dataset as a model reads it; for a head the features of all slices are computed."""
    slices = experiment.as_read(model.config, slices)
    if model.reader is None or model.config.trainable:
        return slices
    return heads.as_read(model.reader, slices)


def _input_shape(config: Config) -> tuple[int, ...]:
    around = (config.adjacent,) if config.adjacent > 1 else ()
    return (*around, config.image_size, config.image_size)
