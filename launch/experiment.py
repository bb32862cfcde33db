"""From a config to the objects that the library works with; shared by `launch.train` and `launch.study`."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from fl_jax import faulty, spec, statistics, study
from fl_jax import round as rounds
from fl_jax.averaged import averaged
from fl_jax.data import partition as partitions
from fl_jax.data import pipeline
from fl_jax.data import slices as datasets
from fl_jax.data.adjacent import neighbours
from fl_jax.data.studies import in_studies
from fl_jax.keys import stream
from fl_jax.over_rounds import by_round, over_rounds
from fl_jax.recompute import recompute
from fl_jax.report import patients as pictures
from fl_jax.report.files import data_folder
from fl_jax.task import Task, positive_weights
from fl_jax.types import Aggregator, Algorithm, Params
from fl_jax.weights.fine_tune import layer_rates
from launch import backbone, progress, ranges

Config = Any
"""An `ml_collections.ConfigDict` with the fields of `configs/ich_fed_avg.py`."""
NATURAL = "natural()"
"""The partition that keeps the dataset's own sites; a file of it may not move a patient to another."""
RECOMPUTE = "recompute"
"""The rule of `config.statistics` that is none of `fl_jax.statistics`: see `finish`."""
TOLERANCE = 1e-3
"""Of recomputed statistics: a thousandth of a standard deviation, or of a variance."""
MACHINE = (
    *("jobs", "data_dir", "source", "source_layout"),
    *("memory_limit", "resamples", "margin", "survey"),
)
"""Config keys that change where and how a training runs, and not what it gives; the dataset has a digest."""


BEFORE: dict[str, Any] = {
    **{"pretrained": "", "pretrained_digest": "", "pretrained_head": "new"},
    **{"pretrained_channels": "same", "trainable": "", "cached_features": False},
    **{"layer_rates": [], "statistics": "frozen", "round_schedule": "", "accumulate": 1},
    **{"remat": False, "mixup": 0.0, "loss": "cross_entropy()", "sampling": "natural"},
    **{"ema": 0.0, "test_flip": False, "faults": [], "void_rounds": "skip", "threads": 1},
    **{"backbone": "", "backbone_model": "own", "study_weight": 0.5},
}
"""What a run that is older than a field of its config was made with."""


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
    return workdir / "data" if backbone_of is None or config.source else data_folder(backbone_of)


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
        ValueError: when `adjacent` is wrong, or a study lacks a position.
    """
    if config.adjacent not in (1, 3):
        raise ValueError(f"config.adjacent={config.adjacent}: must be 1, or 3 for slices around it")
    if config.adjacent == 3:
        slices = dataclasses.replace(slices, adjacent=neighbours(slices))
    return in_studies(slices) if config.backbone else slices


def held(config: Config, slices: datasets.Slices) -> datasets.Slices:
    """The dataset in memory where it is within `memory_limit`, or else on disk, from where it streams.

    A head's stays on disk: its features are read from there once.
    """
    fits = slices.pixel_bytes <= config.memory_limit * 2**30
    return slices.in_memory() if fits and not config.backbone else slices


def partition(
    config: Config,
    workdir: Path,
    slices: datasets.Slices,
    say: Callable[[str], None] = lambda sentence: None,
) -> partitions.Partition:
    """Reads the partition of a workdir, or makes it; it is checked against the dataset either way.

    `partition.json` beside it says what it was made from, `partition.png` shows it. With other inputs it
    is made anew, as long as no training has begun. One that a person wrote or changed is kept, which `say`
    is told.

    Raises:
        ValueError: when trainings were begun with a partition of other inputs.
    """
    path, beside = workdir / "partition.csv", workdir / "partition.json"
    scheme = spec.build(config.partition, "fl_jax.data.partition.schemes")
    load = partial(partitions.load, path, slices, own_sites=config.partition == NATURAL)
    wanted = {
        "partition": config.partition,
        "fractions": list(config.fractions),
        "stratify": config.stratify,
        "folds": [config.fold, config.folds],
        "seed": config.seed,
        "dataset": (datasets.read_summary(data_dir(config, workdir)) or {}).get("digest"),
    }
    if path.exists():
        made_from = json.loads(beside.read_text()) if beside.exists() else {}
        if made_from.pop("digest", None) != _digest(path):
            say(f"{path} was written or changed by hand: it is kept")
            return load()
        if made_from == wanted:
            return load()
        if any(workdir.glob("models/*/inputs.json")):
            raise ValueError(
                f"{path} was made from {made_from}, and this is {wanted}: use another --workdir, "
                "or remove its folder models"
            )
    made = partitions.by_patient(
        slices,
        fractions=tuple(config.fractions),
        seed=config.seed,
        scheme=scheme,
        folds=config.folds,
        fold=config.fold,
        stratify=config.stratify,
    )
    workdir.mkdir(parents=True, exist_ok=True)
    path.unlink(
        missing_ok=True
    )  # it is there last or not at all, or it would be taken for a person's
    written = path.with_name("partition.new")
    partitions.save(made, written)
    progress.write_bytes(path.with_suffix(".png"), pictures.draw(slices, made))
    progress.write_json(beside, wanted | {"digest": _digest(written)})
    written.replace(path)
    return load()


def load(config: Config, workdir: Path) -> Experiment:
    """Opens the dataset and plans the arms.

    Raises:
        ValueError: for a config with a value out of its range, see `ranges`, or that does not fit the data.
    """
    ranges.check(config)
    logging.set_verbosity(logging.WARNING)  # TFDS and Orbax report each of their files
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


def arm_name(config: Config) -> str:
    """The arm that `regime` and `site` name.

    Raises:
        ValueError: for an unknown regime, or a local one without its site.
    """
    if config.regime not in ("federated", "central", "local"):
        raise ValueError(
            f"config.regime={config.regime!r}: must be 'federated', 'central' or 'local'"
        )
    if config.regime != "local":
        return config.regime
    if not config.site:
        raise ValueError("config.regime='local' needs a hospital: add --config.site=SITE")
    return f"local_{config.site}"


def backbone_name(config: Config) -> str:
    """Which of the backbone's models gives an arm's features."""
    return arm_name(config) if config.backbone_model == "own" else config.backbone_model


def task(
    config: Config, workdir: Path, experiment: Experiment, arm: study.Arm
) -> tuple[Task, datasets.Slices]:
    """What an arm learns, and from what; the positive weights come from the counts of its own sites."""
    weights = loss_weights(config, experiment.slices, arm)
    made = backbone.network(config, experiment.slices.input_shape, weights)
    if not config.cached_features:
        return made.task, experiment.slices
    summary = datasets.read_summary(data_dir(config, workdir)) or {}
    return backbone.on_features(config, made, experiment.slices, summary, workdir / "features")


def loss_weights(config: Config, slices: datasets.Slices, arm: study.Arm) -> np.ndarray:
    """The weights of a positive, float32[L], from the counts of an arm's own training slices."""
    rows = [slices.rows(examples) for examples in arm.train]
    counts = [slices.labels[each].sum(0, dtype=np.int64) for each in rows]
    return positive_weights(
        np.sum(counts, 0), sum(map(len, rows)), ceiling=config.positive_weight_ceiling
    )


def federation(
    config: Config,
    experiment: Experiment,
    arm: study.Arm,
    task: Task,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[rounds.Round, rounds.State, Callable[[Any, Any], Params] | None]:
    """The layout, the state before the first round, and what makes a site's own model, if anything does.

    Every arm starts from the same parameters. Algorithm and aggregator are those of the federated arm; the
    central and the local models, which it is compared with, are trained plainly whatever these are. `say` is
    told which layout `auto` is.
    """
    algorithm, aggregator, state = start(
        config, arm.name, task, sites=len(arm.sites), key=experiment.key
    )
    choice = rounds.Choice(config.layout, "")
    if config.layout == "auto":
        choice = rounds.choose(algorithm, state.server.params, len(arm.sites))
        if arm.name == "federated":
            say(f"layout {choice.layout}: {choice.reason}")
    steps = choice.steps_per_call
    sizes = arm.examples.mean(0)
    run = rounds.make(choice.layout, algorithm, aggregator, sizes, steps_per_call=steps)
    return run, state, algorithm.personal


def start(
    config: Config, arm: str, task: Task, *, sites: int, key: jax.Array
) -> tuple[Algorithm, Aggregator, rounds.State]:
    """The algorithm and the aggregator of an arm, and its state before the first round."""
    optimizer = spec.transformation(config.optimizer)
    if config.layer_rates:
        optimizer = layer_rates(optimizer, config.layer_rates)
    if config.round_schedule:
        optimizer = by_round(optimizer)
    between = (config.algorithm, config.aggregator)
    if arm != "federated":
        between = ("fed_avg()", "weighted_mean()")
    algorithm = spec.build(between[0], "fl_jax.algorithms", task.loss, optimizer)
    if task.statistics is not None:
        pooled = arm != "federated" or config.statistics == RECOMPUTE
        rule = "aggregate" if pooled else config.statistics
        algorithm = statistics.carry(algorithm, task.statistics, rule)
    if config.round_schedule:
        algorithm = over_rounds(algorithm, _factors(config))
    if config.ema:
        algorithm = averaged(algorithm, config.ema)
    aggregator = faulty.between(
        spec.build(between[1], "fl_jax.aggregators"), faults(config, arm, sites)
    )
    params = jax.jit(task.init)(stream(key, "init"))
    return algorithm, aggregator, rounds.init(algorithm, aggregator, params, sites, key)


def _factors(config: Config) -> list[float]:
    """The factor of the rate in each round."""
    factor = spec.schedule(config.round_schedule, {"rounds": config.rounds})
    return np.array([factor(round) for round in range(config.rounds)], np.float32).tolist()


def finish(
    config: Config,
    arm: study.Arm,
    task: Task,
    slices: datasets.Slices,
    personal: Callable[[Any, Any], Params] | None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Callable[[Params], Params] | None:
    """What makes the final model of the best round's: statistics from the arm's training slices, or nothing.

    Until then the running ones are carried along, by which the best round is chosen: to recompute them before
    each validation would cost several forward passes over all training slices, more than the round itself.

    Raises:
        ValueError: when the sites have models of their own.
    """
    if config.statistics != RECOMPUTE:
        return None
    if personal is not None:
        raise ValueError(
            f"config.statistics={RECOMPUTE!r} with algorithm={config.algorithm!r}: sites have models of "
            "their own, which pooled statistics do not fit; set --config.statistics=local"
        )

    def made(params: Params) -> Params:
        began = time.monotonic()
        sites = [partial(pipeline.eval_batches, slices, rows, batch_size=64) for rows in arm.train]
        found = recompute(task.logits, params, sites, tolerance=TOLERANCE)
        say(
            f"{arm.name}: statistics recomputed in {len(found.shifts)} passes and "
            f"{time.monotonic() - began:.1f} s, moved by up to {found.shifts[0]:.2g}, then "
            f"{', '.join(f'{shift:.1g}' for shift in found.shifts[1:])}"
        )
        return found.variables

    return made


def faults(config: Config, arm: str, sites: int) -> tuple[faulty.Fault, ...]:
    """What goes wrong in an arm; nothing but in the federated one."""
    specs = config.get("faults", ()) if arm == "federated" else ()
    return faulty.build(specs, sites)


def inputs(config: Config, workdir: Path) -> dict[str, Any]:
    """What a training's numbers depend on: the config without the machine, the dataset, the partition."""
    summary = datasets.read_summary(data_dir(config, workdir)) or {}
    parts = config.to_dict()
    parts = {name: value for name, value in parts.items() if name not in MACHINE}
    parts["dataset"] = [summary.get("digest"), summary.get("options")]
    parts["partition"] = _digest(workdir / "partition.csv")
    folder = backbone_folder(config)
    if folder is not None:
        begun = folder / "models" / backbone_name(config) / "inputs.json"
        if not begun.exists():
            raise ValueError(
                f"config.backbone={config.backbone!r}: there is no {begun}; train it with launch.study, "
                "or choose another with config.backbone_model"
            )
        parts |= {"backbone": str(folder), "backbone_inputs": _digest(begun)}
    return json.loads(json.dumps(parts))


def check_inputs(config: Config, workdir: Path) -> None:
    """Refuses to go on with an arm that was begun with other inputs.

    Raises:
        ValueError: when they differ; names them.
    """
    path, wanted = _inputs_path(config, workdir), inputs(config, workdir)
    begun = json.loads(path.read_text()) if path.exists() else wanted
    begun = BEFORE | {"threads": wanted["threads"]} | begun
    differ = sorted(k for k in begun | wanted if begun.get(k) != wanted.get(k))
    if differ:
        shown = "; ".join(f"{k}: {begun.get(k)!r} there, {wanted.get(k)!r} now" for k in differ)
        raise ValueError(
            f"{path.parent} holds a run that was begun with other inputs ({shown}): "
            "use another --workdir, or remove that folder"
        )


def keep_inputs(config: Config, workdir: Path) -> None:
    """Writes an arm's inputs into its folder, for `check_inputs`."""
    path = _inputs_path(config, workdir)
    path.parent.mkdir(parents=True, exist_ok=True)
    progress.write_json(path, inputs(config, workdir))


def is_complete(config: Config, workdir: Path) -> bool:
    """Whether an arm is trained and has predicted."""
    done = workdir / "models" / arm_name(config) / "done.json"
    return done.exists() and all(
        (workdir / "predictions" / f"{judged}.csv").exists()
        for judged in json.loads(done.read_text())["predictions"]
    )


def _inputs_path(config: Config, workdir: Path) -> Path:
    return workdir / "models" / arm_name(config) / "inputs.json"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
