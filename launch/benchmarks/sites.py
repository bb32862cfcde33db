"""Each fault of `fl_jax.faults` in a small federation: whether the run ends, and its state stays finite."""

import pkgutil
from functools import lru_cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax import faults
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts as rounds
from fl_jax.core.layouts.common import all_finite
from fl_jax.core.types import LABELS, Aggregator, Algorithm, Batch
from fl_jax.faults import fault as faulty
from fl_jax.faults import simulation as simulate
from fl_jax.tasks import task

SITES, ROUNDS, FEATURES = 4, 12, 8
NAMES = tuple(m.name for m in pkgutil.iter_modules(faults.__path__) if m.name != "trusting")
"""What sites do wrong; `trusting` is the server's own, which then checks nothing."""


def struck(name: str, seed: int) -> str:
    """Runs a federation in which half of the sites have a fault in half of the rounds.

    Returns:
        What is lost; empty where all rounds were run and the state was finite after each.
    """
    run, algorithm, aggregator, job, drawn = _federation(name)
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(SITES, 4, FEATURES)).astype(np.float32)
    labels = (inputs[..., : len(LABELS)] > 0).astype(np.float32)
    key = jax.random.key(seed)
    state = rounds.init(algorithm, aggregator, job.init(key), SITES, key)
    done = 0
    for after, _ in simulate.rounds(
        run,
        state,
        until=ROUNDS,
        batches=lambda round, site: [Batch(inputs[site], labels[site], np.ones(4, np.float32))] * 2,
        participants=lambda round: np.ones(SITES, bool),
        faults=drawn,
        steps=lambda round, site: 2,
        min_sites=1,
    ):
        done += 1
        state = after
        if not all_finite(after.server):
            return f"the server's state is not finite after round {done}"
    return "" if done == int(state.round) == ROUNDS else f"ends after {done} of {ROUNDS} rounds"


@lru_cache(maxsize=1)
def _federation(
    name: str,
) -> tuple[rounds.Round, Algorithm, Aggregator, task.Task, tuple[faulty.Fault, ...]]:
    drawn = faulty.build((f"{name}({SITES // 2}, share=0.5)",), SITES)
    job = task.multi_label(nn.Dense(len(LABELS)), jnp.zeros((1, FEATURES)))
    algorithm = fed_avg(job.loss, optax.adam(1e-2), keep_optimizer=True)
    aggregator = faulty.between(weighted_mean(), drawn)
    run = rounds.sequential(algorithm, aggregator, steps_per_call=2)
    return run, algorithm, aggregator, job, drawn
