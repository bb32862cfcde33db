"""The algorithm, aggregator and faults of an arm, and its state before the first round."""

from typing import Any

import jax
import numpy as np
import optax
from jax.core import Tracer

from fl_jax.core import layouts, spec, trees
from fl_jax.core.keys import stream
from fl_jax.core.types import Aggregator, Algorithm
from fl_jax.faults.fault import Fault, build_faults
from fl_jax.faults.transport import with_faults
from fl_jax.tasks.fine_tune import layer_rates
from fl_jax.tasks.task import Task
from fl_jax.wrappers.batch_stats import federated_batch_stats
from fl_jax.wrappers.ema import ema
from fl_jax.wrappers.round_schedule import round_schedule, scale_by_round

Config = Any
"""A `fl_jax.experiment.config.Config`; `Config.of` imports this module, so it cannot be imported here."""
RECOMPUTE = "recompute"
"""`aggregate` during training; the statistics are then recomputed, see `setup.finish`."""
CONTROL = ("fed_avg(keep_optimizer=True)", "weighted_mean()")
"""Algorithm and aggregator of the central and local arms: plain training of one site."""


def start(
    config: Config, arm: str, task: Task, *, sites: int, key: jax.Array
) -> tuple[Algorithm, Aggregator, layouts.State]:
    """Makes an arm's algorithm, aggregator, and state before the first round.

    Central and local arms are plain training, see `CONTROL`, or the algorithm itself with one site, see
    `Algorithm.one_site_is_central`.

    Args:
        config: the experiment's.
        arm: its name.
        task: the arm's.
        sites: S.
        key: the run's key; every arm starts from the same parameters.
    """
    algorithm, aggregator = parts(config, arm, task, sites)
    # It runs once: XLA:CPU would take 4 s to optimise the random numbers of a small ResNet.
    # Where only shapes are asked for, `key` is traced, and jax refuses options inside a trace.
    quick = not isinstance(key, Tracer) and trees.platform(key) == "cpu"
    options = {"xla_backend_optimization_level": 0} if quick else None
    params = jax.jit(task.init, compiler_options=options)(stream(key, "init"))
    return algorithm, aggregator, layouts.init(algorithm, aggregator, params, sites, key)


def parts(config: Config, arm: str, task: Task, sites: int) -> tuple[Algorithm, Aggregator]:
    """The algorithm with its wrappers, and the aggregator behind the simulated faults."""
    optimizer = spec.transformation(config.optimizer)
    if config.layer_rates:
        optimizer = layer_rates(optimizer, config.layer_rates)
    if config.round_schedule:
        optimizer = optax.chain(optimizer, scale_by_round())
    algorithm = spec.build(config.algorithm, "fl_jax.algorithms", task.loss, optimizer)
    aggregator = config.aggregator
    if arm != "federated":
        aggregator = CONTROL[1]
        if not algorithm.one_site_is_central:
            algorithm = spec.build(CONTROL[0], "fl_jax.algorithms", task.loss, optimizer)
    if task.running:
        pooled = arm != "federated" or config.statistics == RECOMPUTE
        rule = "aggregate" if pooled else config.statistics
        algorithm = federated_batch_stats(algorithm, rule)
    if config.round_schedule:
        algorithm = round_schedule(algorithm, factors(config.round_schedule, config.rounds))
    if config.ema:
        algorithm = ema(algorithm, config.ema)
    combined = spec.build(aggregator, "fl_jax.aggregators")
    return algorithm, with_faults(combined, faults(config, arm, sites))


def weighting(config: Config, arm: str) -> str:
    """What a site of an arm counts; a single site has the plain sum's bits by examples."""
    return config.weighting if arm == "federated" else "examples"


def factors(schedule: str, rounds: int) -> list[float]:
    """The factor of the learning rate in each round, float32."""
    factor = spec.schedule(schedule, {"rounds": rounds})
    with jax.ensure_compile_time_eval():  # numbers, also where only a state's shapes are asked for
        return np.array([factor(number) for number in range(rounds)], np.float32).tolist()


def faults(config: Config, arm: str, sites: int) -> tuple[Fault, ...]:
    """The faults of an arm; only the federated one has any."""
    return build_faults(config.faults if arm == "federated" else (), sites)
