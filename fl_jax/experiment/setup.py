"""From an experiment to one arm's training: what is learned, the layout, the rounds."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fl_jax.core import layouts
from fl_jax.core.types import Params
from fl_jax.data import pipeline
from fl_jax.data import slices as datasets
from fl_jax.experiment import model as backbone
from fl_jax.experiment import train as study
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.config import Config
from fl_jax.experiment.data import Experiment, data_dir
from fl_jax.experiment.federation import RECOMPUTE, faults, start
from fl_jax.tasks.positive_weights import positive_weights
from fl_jax.tasks.task import Task
from fl_jax.wrappers.recompute_batch_stats import recompute_batch_stats

TOLERANCE = 1e-3
"""Of recomputed statistics: a thousandth of a standard deviation, or of a variance."""


class Training(NamedTuple):
    """An arm that is ready to train.

    Attributes:
        parameters: how many its model has.
        rounds: trains it from the store's newest checkpoint on, see `fl_jax.experiment.train.train`.
    """

    parameters: int
    rounds: Callable[[Store], Iterator[study.Progress]]


def prepare(
    config: Config,
    opened: Experiment,
    arm: study.Arm,
    task: Task,
    slices: datasets.Slices,
    *,
    say: Callable[[str], None] = lambda sentence: None,
    on_examples: Callable[[int], None] = lambda count: None,
    complain: Callable[[str], None],
) -> Training:
    """Makes an arm ready to train; nothing is written before its first round.

    Args:
        config: see `configs/ich_fed_avg.py`.
        opened: data and plan of all arms.
        arm: the one to train.
        task: what it learns, see `task`, and for a head `fl_jax.experiment.heads`.
        slices: from what.
        say: told in a sentence which layout `auto` is, and of recomputed statistics.
        on_examples: told how many examples each batch has.
        complain: told of every damaged checkpoint.

    Raises:
        ValueError: for a config whose parts do not go together.
    """
    run, state, personal = federation(config, opened, arm, task, say)
    steps = partial(
        study.train,
        arm,
        task,
        run,
        state,
        slices,
        batch_size=config.batch_size,
        seed=config.seed,
        personal=personal,
        faults=faults(config, arm.name, len(arm.sites)),
        min_sites=min(config.min_sites, len(arm.sites)),
        void=config.void_rounds,
        finish=finish(config, arm, task, slices, personal, say),
        on_examples=on_examples,
        complain=complain,
    )
    return Training(sum(leaf.size for leaf in jax.tree.leaves(state.server.params)), steps)


def task(
    config: Config, workdir: Path, opened: Experiment, arm: study.Arm
) -> tuple[Task, datasets.Slices]:
    """What an arm learns, and from what; the positive weights come from the counts of its own sites."""
    weights = loss_weights(config, opened.slices, arm)
    made = backbone.network(config, opened.slices.input_shape, weights)
    if not config.cached_features:
        return made.task, opened.slices
    summary = datasets.read_summary(data_dir(config, workdir)) or {}
    return backbone.on_features(config, made, opened.slices, summary, workdir / "features")


def loss_weights(config: Config, slices: datasets.Slices, arm: study.Arm) -> np.ndarray:
    """The weights of a positive, float32[L], from the counts of an arm's own training slices."""
    rows = [slices.rows(examples) for examples in arm.train]
    counts = [slices.labels[each].sum(0, dtype=np.int64) for each in rows]
    return positive_weights(
        np.sum(counts, 0), sum(map(len, rows)), ceiling=config.positive_weight_ceiling
    )


def federation(
    config: Config,
    opened: Experiment,
    arm: study.Arm,
    task: Task,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[layouts.Round, layouts.State, Callable[[Any, Any], Params] | None]:
    """The layout, the state before the first round, and what makes a site's own model, if anything does.

    Every arm starts from the same parameters. Algorithm and aggregator are those of the federated arm; the
    central and the local models, which it is compared with, are trained plainly whatever these are. `say` is
    told which layout `auto` is.
    """
    algorithm, aggregator, state = start(
        config, arm.name, task, sites=len(arm.sites), key=opened.key
    )
    choice = layouts.Choice(config.layout, "")
    if config.layout == "auto":
        choice = layouts.choose(algorithm, state.server.params, len(arm.sites))
        if arm.name == "federated":
            say(f"layout {choice.layout}: {choice.reason}")
    steps = choice.steps_per_call
    sizes = arm.examples.mean(0)
    run = layouts.make(choice.layout, algorithm, aggregator, sizes, steps_per_call=steps)
    return run, state, algorithm.personal


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
        found = recompute_batch_stats(task.logits, params, sites, tolerance=TOLERANCE)
        say(
            f"{arm.name}: statistics recomputed in {len(found.shifts)} passes and "
            f"{time.monotonic() - began:.1f} s, moved by up to {found.shifts[0]:.2g}, then "
            f"{', '.join(f'{shift:.1g}' for shift in found.shifts[1:])}"
        )
        return found.variables

    return made
