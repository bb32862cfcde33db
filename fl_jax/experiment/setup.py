"""Prepares an arm for training: task, layout, and the final pass over BatchNorm statistics."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from fl_jax.core import layouts
from fl_jax.core.types import Params
from fl_jax.data import pipeline
from fl_jax.data import slices as datasets
from fl_jax.data.slices import Slices
from fl_jax.experiment import model
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.data import data_dir
from fl_jax.experiment.federation import RECOMPUTE, faults, start, weighting
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.experiment.rounds import Training
from fl_jax.tasks.positive_weights import positive_weights
from fl_jax.tasks.task import Task
from fl_jax.workdir import Workdir
from fl_jax.wrappers.recompute_batch_stats import recompute_batch_stats

TOLERANCE = 1e-3
"""Of recomputed statistics, relative to a standard deviation or a variance."""


def prepare(
    config: Config,
    arm: Arm,
    task: Task,
    slices: Slices,
    key: jax.Array,
    reporter: Reporter = SILENT,
) -> Training:
    """Prepares an arm for training; writes nothing.

    Args:
        config: the experiment's.
        arm: the arm.
        task: the arm's, see `make_task` and `fl_jax.experiment.heads`.
        slices: the dataset that `task` reads.
        key: the run's key.
        reporter: gets the layout that `auto` chooses, and a summary of recomputed statistics.

    Raises:
        ValueError: fields of the config exclude each other.
    """
    algorithm, aggregator, state = start(config, arm.name, task, sites=len(arm.sites), key=key)
    choice = layouts.Choice(config.layout, "")
    if config.layout == "auto":
        choice = layouts.choose(algorithm, state.server.params, len(arm.sites))
        if arm.name == "federated":
            reporter.message(f"layout {choice.layout}: {choice.reason}")
    run = layouts.make(
        choice.layout,
        algorithm,
        aggregator,
        arm.examples.mean(0),
        weighting=weighting(config, arm.name),
        steps_per_call=choice.steps_per_call,
    )
    return Training(
        arm,
        task,
        slices,
        run,
        state,
        batch_size=config.batch_size,
        seed=config.seed,
        personal=algorithm.personal,
        faults=faults(config, arm.name, len(arm.sites)),
        min_sites=min(config.min_sites or len(arm.sites), len(arm.sites)),
        void=config.void_rounds,
        finish=make_finish(config, arm, task, slices, algorithm.personal, reporter),
    )


def make_task(config: Config, workdir: Workdir, slices: Slices, arm: Arm) -> tuple[Task, Slices]:
    """An arm's task and the dataset it reads; positive weights come from its training labels."""
    network = model.network(config, slices.input_shape, loss_weights(config, slices, arm))
    if not config.cached_features:
        return network.task, slices
    identity = datasets.identity(data_dir(config, workdir))
    depends_on = model.facts(config, identity)
    return model.on_features(config, network, slices, depends_on, workdir.features)


def loss_weights(config: Config, slices: Slices, arm: Arm) -> np.ndarray:
    """The weights of positives, float32[L], from the counts of an arm's training slices."""
    rows = [slices.rows(examples) for examples in arm.train]
    counts = [slices.labels[each].sum(0, dtype=np.int64) for each in rows]
    return positive_weights(
        np.sum(counts, 0), sum(map(len, rows)), ceiling=config.positive_weight_ceiling
    )


def make_finish(
    config: Config,
    arm: Arm,
    task: Task,
    slices: Slices,
    personal: Callable[[Any, Any], Params] | None,
    reporter: Reporter = SILENT,
) -> Callable[[Params], Params] | None:
    """Returns a function that recomputes BatchNorm statistics on the arm's training slices, or None.

    Rounds are compared with the running statistics: recomputing them before each validation would cost
    several forward passes over all training slices, more than the round itself.

    Raises:
        ValueError: the sites have personal models.
    """
    if config.statistics != RECOMPUTE:
        return None
    if personal is not None:
        raise ValueError(
            f"config.statistics={RECOMPUTE!r} with algorithm={config.algorithm!r}: sites have personal "
            "models, which pooled statistics do not fit; set --config.statistics=local"
        )

    def finish(params: Params) -> Params:
        start_time = time.monotonic()
        sites = [partial(pipeline.eval_batches, slices, rows, batch_size=64) for rows in arm.train]
        result = recompute_batch_stats(task.logits, params, sites, tolerance=TOLERANCE)
        first, *others = result.shifts
        reporter.message(
            f"{arm.name}: statistics recomputed in {len(result.shifts)} passes and "
            f"{time.monotonic() - start_time:.1f} s, moved by up to {first:.2g}, then "
            f"{', '.join(f'{shift:.1g}' for shift in others)}"
        )
        return result.variables

    return finish
