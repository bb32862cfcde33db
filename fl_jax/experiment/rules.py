"""Checks of a config that need neither data nor a device: rules between fields, and specs that must build."""

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core import layouts, spec
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import windows
from fl_jax.data.metadata import check_field_of_view
from fl_jax.experiment import federation, model
from fl_jax.experiment.tracking import EXTRAS
from fl_jax.files.text import LONGEST, printable
from fl_jax.phantom import family
from fl_jax.tasks.fine_tune import layer_rates
from fl_jax.tasks.task import Task

Config = Any
"""A `fl_jax.experiment.config.Config`, whose `of` calls `check`."""
SYNTHETIC_SITES = 5
"""Sites of the synthetic cohort, see `fl_jax.phantom.sites`."""
MAX_SITES, MAX_PARAMETERS = 2**16, 2**34
"""More are a typing error: they would fail only when the memory is exhausted."""


def check(config: Config) -> None:
    """Checks everything that can be known before any work.

    Raises:
        ValueError: one line that names the field, its value, and what is allowed.
    """
    sites = known_sites(config)
    _check_training(config)
    _check_data(config)
    _check_tracker(config)
    _check_federation(config, sites)
    task = _check_head(config) if config.reads_studies else _check_model(config)
    _check_start(config, task, sites)


def known_sites(config: Config) -> int | None:
    """Number of training sites, S; None if it depends on the data."""
    with _naming(config, "partition"):
        call = spec.parse(config.partition)
    named = call.kwargs.get("sites", call.args[0] if call.args else None)
    if type(named) is int:
        if named > MAX_SITES:
            _refuse(config, "partition", f"at most {MAX_SITES} sites")
        return named
    synthetic = not (config.source or config.data_dir or config.backbone)
    return SYNTHETIC_SITES if synthetic and call.name == "natural" else None


def _check_training(config: Config) -> None:
    if config.batch_size % config.accumulate:
        _refuse(config, "accumulate", f"must divide batch_size={config.batch_size}")
    with _naming(config, "loss"):
        model.label_loss(config)
    with _naming(config, "optimizer"):
        optimizer = spec.transformation(config.optimizer)
        params = {"w": jnp.zeros((2, 2))}
        jax.eval_shape(lambda p: optimizer.update(p, optimizer.init(p), p)[0], params)
    with _naming(config, "layer_rates"):
        layer_rates(optimizer, config.layer_rates)
    if config.round_schedule:
        with _naming(config, "round_schedule"):
            factor_of = spec.schedule(config.round_schedule, {"rounds": config.rounds})
            ends = [float(jnp.asarray(factor_of(number))) for number in (0, config.rounds - 1)]
            if not all(0 <= factor < float("inf") for factor in ends):
                raise ValueError(f"gives the factors {ends}; they must be at least 0, and finite")


def _check_data(config: Config) -> None:
    try:
        family.parse(config.cohort.family)
    except ValueError as error:
        raise ValueError(printable(f"config.cohort.{error}", LONGEST)) from error
    with _naming(config, "spacing_mm"):
        check_field_of_view(config.image_size, config.spacing_mm)
    with _naming(config, "partition"):
        spec.build(config.partition, "fl_jax.data.partition.schemes")
    with _naming(config, "windows"):
        windows.by_name(config.windows)
    if not config.windows:
        _refuse(config, "windows", "give at least one window")
    if len(config.fractions) != 3 or min(config.fractions) <= 0 or _off(sum(config.fractions)):
        _refuse(config, "fractions", "must be three positive numbers that sum to 1")
    if config.fold >= config.folds:
        _refuse(config, "fold", f"must be below folds={config.folds}")
    if config.source_layout != "sites" and not config.source:
        _refuse(
            config, "source_layout", "needs --config.source=DIR; the synthetic cohort is in sites"
        )
    kinds = {"source": "folder", "survey": "file", "pretrained": "file"}
    if not config.source:
        kinds["data_dir"] = "folder"
    for name, kind in kinds.items():
        with _naming(config, name):
            path = Path(getattr(config, name)).expanduser()
            if getattr(config, name) and not (
                path.is_dir() if kind == "folder" else path.is_file()
            ):
                prepare = "; prepare it with launch.prepare_data" if name == "data_dir" else ""
                raise ValueError(f"there is no such {kind}{prepare}")


def _check_tracker(config: Config) -> None:
    if config.tracker in EXTRAS and importlib.util.find_spec(config.tracker) is None:
        _refuse(config, "tracker", f"run: pip install 'fl_jax[{config.tracker}]'")


def _off(total: float) -> bool:
    return not abs(total - 1) <= 1e-6


def _check_federation(config: Config, sites: int | None) -> None:
    if sites is not None and config.min_sites > sites:
        _refuse(config, "min_sites", f"must be at most {sites}, the number of sites")
    with _naming(config, "faults"):
        federation.faults(config, "federated", 2**31 if sites is None else sites)
    with _naming(config, "aggregator"):
        spec.build(config.aggregator, "fl_jax.aggregators")


def _check_model(config: Config) -> Task:
    """Builds and traces the task of a model that reads slices."""
    if config.backbone:
        _check_backbone(config)
        with _naming(config, "model"):
            start = _zeros(config)
        with _naming(config, "trainable"):
            network = model.network(config, config.input_shape, backbone=start)
            jax.eval_shape(network.task.init, jax.random.key(0))
    else:
        with _naming(config, "model"):
            random = config.replace(pretrained="", trainable="", cached_features=False)
            task = model.network(random, config.input_shape).task
            _check_size(jax.eval_shape(task.init, jax.random.key(0)))
        with _naming(config, "pretrained"):
            network = model.network(config, config.input_shape)
    if config.cached_features:
        model.check_features(config, network)
    return network.task


def _check_head(config: Config) -> Task:
    """The task of a head over F = 8 features."""
    for name in (
        "loss",
        "mixup",
        "test_flip",
        "accumulate",
        "remat",
        "sampling",
        "cached_features",
    ):
        default = type(config).__dataclass_fields__[name].default
        if getattr(config, name) != default:
            _refuse(
                config, name, f"is for models of single slices; with backbone leave it {default!r}"
            )
    if config.statistics != "frozen":
        _refuse(config, "statistics", "must be frozen with backbone")
    if not config.trainable:
        if config.layer_rates:
            _refuse(config, "layer_rates", "needs a trained backbone; see config.trainable")
        model.check_unaugmented(
            config, "config.backbone without config.trainable", "a frozen backbone's features"
        )
    _check_pattern(config)
    with _naming(config, "model"):
        task = model.head_task(config, 8)
        _check_size(jax.eval_shape(task.init, jax.random.key(0)))
    if config.pretrained:
        with _naming(config, "backbone"):
            spec.build(config.backbone, "fl_jax.models")
    else:
        _check_backbone(config)
    return task


def _check_backbone(config: Config) -> None:
    if config.pretrained:
        _refuse(
            config, "pretrained", "the model starts from config.backbone; leave one of them empty"
        )
    if not Path(config.backbone).expanduser().is_dir():
        _refuse(
            config, "backbone", "there is no such folder; give the workdir of a finished experiment"
        )


def _zeros(config: Config) -> dict[str, Any]:
    """Variables of a model of slices, in place of those of its backbone."""
    module = spec.build(config.model, "fl_jax.models")
    channels = len(windows.by_name(config.windows)) * config.adjacent
    images = jnp.zeros((1, config.image_size, config.image_size, channels))
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    _check_size(shapes)
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def _check_size(params: Any) -> None:
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    if parameters > MAX_PARAMETERS:
        raise ValueError(f"has {parameters:,} parameters: at most {MAX_PARAMETERS:,}")


def _check_pattern(config: Config) -> None:
    with _naming(config, "trainable"):
        re.compile(config.trainable)


def _check_start(config: Config, task: Task, sites: int | None) -> None:
    """Traces the state before the first round, and a local step if statistics are updated there."""
    key = jax.random.key(0)
    params = jax.eval_shape(task.init, key)
    with _naming(config, "algorithm"):
        algorithm, aggregator = federation.parts(config, "federated", task, sites or 2**20)
        jax.eval_shape(algorithm.init_server, params)
        jax.eval_shape(algorithm.init_site, params)
        if config.statistics == federation.RECOMPUTE and algorithm.personal is not None:
            raise ValueError(
                "gives each site a model, which statistics='recompute' does not fit; set "
                "--config.statistics=local"
            )
        if task.running:
            jax.eval_shape(lambda p: _local_step(algorithm, p, config), params)
    with _naming(config, "layout"):
        if config.layout != "auto":
            layouts.make(config.layout, algorithm, aggregator, [1.0])
    if sites is not None:
        with _naming(config, "aggregator"):
            jax.eval_shape(
                lambda p: layouts.init(algorithm, aggregator, p, sites, key).aggregator, params
            )


def _local_step(algorithm: Any, params: Any, config: Config) -> Any:
    server, site = algorithm.init_server(params), algorithm.init_site(params)
    local = algorithm.client.start(algorithm.broadcast(server), site, jax.random.key(0))
    shape = (config.accumulate, *config.input_shape)
    labels = jnp.zeros((shape[0], len(LABELS)))
    return algorithm.client.step(local, Batch(jnp.zeros(shape, jnp.int16), labels, labels[:, 0]))


@contextlib.contextmanager
def _naming(config: Config, name: str) -> Iterator[None]:
    """Turns any error from building a field's value into one line that names the field."""
    value = getattr(config, name)
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if not text.startswith("config."):
            text = f"{_shown(config, name)}: {text.removeprefix(f'{value!r}: ')}"
        raise ValueError(printable(text, LONGEST)) from error


def _refuse(config: Config, name: str, why: str) -> None:
    raise ValueError(f"{_shown(config, name)}: {why}")


def _shown(config: Config, name: str) -> str:
    return f"config.{name}={printable(repr(getattr(config, name)))}"
