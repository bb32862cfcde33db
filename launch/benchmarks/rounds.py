"""The cost of federation: a round of every layout against central training's steps on the same batches.

The floor is what one would write without this library: one jitted optax step with donated buffers, called for
every batch of every site.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.types import Algorithm, Batch
from fl_jax.experiment import machine
from launch.benchmarks import cases, measure, table

_HEAD = ("", "x floor", "range", "x cpu time", "compile s", "temp MB", "state MB", "images/s", "")


def run(options: Any) -> dict[str, Any]:
    """Measures the cases that `options.cases` selects, with `repetitions` and `devices`."""
    machine.split(options.devices)
    chosen = cases.select("cases", options.cases, cases.CASES)
    return {"cases": [measured(case, options.repetitions) for case in chosen]}


def measured(case: cases.Case, repetitions: int) -> dict[str, Any]:
    """Measures one case and prints its table."""
    job, example = case.model()
    batches = cases.batches(case, example)
    algorithm = fed_avg(job.loss, cases.OPTIMIZER, keep_optimizer=True)
    params = jax.jit(job.init)(jax.random.key(0))
    state = layouts.init(algorithm, weighted_mean(), params, len(case.sizes), jax.random.key(0))
    contenders = {
        name: partial(_round, layout, state, batches)
        for name, layout in by_layout(algorithm, case).items()
    }
    taken = measure.compare(_floor(job.loss, params, batches), contenders, repetitions)
    choice = layouts.choose(algorithm, params, len(case.sizes))
    default = _name(choice.layout, choice.steps_per_call)
    fastest = min(contenders, key=lambda name: taken[name].ratio)
    examples = sum(case.sizes)
    figures = {
        name: took._asdict()
        | {
            "images_per_second": examples / took.seconds,
            "state_bytes": _bytes(params if name == "floor" else state),
        }
        for name, took in taken.items()
    }
    rows = [_row(name, line, name == fastest, name == default) for name, line in figures.items()]
    print(table.text(f"{case.name}: {examples} examples", _HEAD, rows), flush=True)
    return {
        "case": case.name,
        "sites": len(case.sizes),
        "examples": examples,
        "default": default,
        "fastest": fastest,
        "measured": figures,
    }


def by_layout(algorithm: Algorithm, case: cases.Case) -> dict[str, layouts.Round]:
    """The layouts that can run here, by name; `mesh` needs several devices."""
    between = (algorithm, weighted_mean())
    runs = {"sequential": layouts.sequential(*between), "vmapped": layouts.vmapped(*between)}
    if case.several > 1:
        several = layouts.sequential(*between, steps_per_call=case.several)
        runs[_name("sequential", case.several)] = several
    if len(jax.local_devices()) > 1:
        runs["mesh"] = layouts.mesh(*between, sizes=case.sizes)
    return runs


def _name(layout: str, steps_per_call: int) -> str:
    return layout if steps_per_call == 1 else f"{layout} K={steps_per_call}"


def _floor(loss: Any, params: Any, batches: list[list[Batch]]) -> measure.Work:
    """Central training on all sites' batches; each call continues from the last."""
    state = jax.tree.map(jnp.copy, (params, cases.OPTIMIZER.init(params), jax.random.key(1)))

    def work() -> Any:
        nonlocal state
        for site in batches:
            for batch in site:
                state = cases.optax_step(loss, state, batch)
        return state

    return work


def _round(layout: layouts.Round, state: layouts.State, batches: list[list[Batch]]) -> Any:
    return layout(state, batches.__getitem__, np.ones(len(batches), bool))


def _bytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def _row(name: str, line: dict[str, Any], fastest: bool, default: bool) -> list[str]:
    notes = ["fastest"] * fastest + ["default"] * default
    return [
        name,
        *table.ratio(line),
        f"{line['processor']:.2f}",
        f"{line['compile_seconds']:.1f}",
        f"{line['temporary_bytes'] / 2**20:.1f}",
        f"{line['state_bytes'] / 2**20:.1f}",
        f"{line['images_per_second']:,.0f}",
        ", ".join(notes) if name != "floor" else table.NOISE,
    ]
