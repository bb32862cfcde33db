"""How fast the project is, on this machine: a table for people, JSON for later.

    python -m launch.benchmark --suite=round --json=FILE [--cases=REGEX] [--devices=2]
    python -m launch.benchmark --suite=input --json=FILE
    python -m launch.benchmark --suite=statistics --json=FILE
    python -m launch.benchmark --suite=models --json=FILE [--models=REGEX] [--threads=1]
    python -m launch.benchmark --suite=peers --task=A --peers=DIR [--json=FILE]

A suite is a module of `launch/benchmarks/` with a function `run`. On CPU `--devices` splits the machine into
devices of one thread each, which is what the layout `mesh` trains sites on at the same time; without it the
suite chooses. Needs no more than jax, flax, optax, numpy and absl, but for `input`, which needs TFDS,
`statistics`, which needs what the report does, and `faults`, which needs all that a study does.
"""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

from absl import app, flags

from fl_jax.experiment import machine
from launch import benchmarks

FLAGS = flags.FLAGS


def suites() -> list[str]:
    """The suites that there are: modules of `launch/benchmarks/` with a function `run`."""
    found = [m.name for m in pkgutil.iter_modules(benchmarks.__path__)]
    return [n for n in found if hasattr(importlib.import_module(f"launch.benchmarks.{n}"), "run")]


def benchmark(suite: str, options: Any) -> dict[str, Any]:
    """Runs a suite.

    Args:
        suite: its name.
        options: the flags, or anything with their names as attributes.

    Returns:
        What the JSON holds: the machine and the suite's own figures.
    """
    result = importlib.import_module(f"launch.benchmarks.{suite}").run(options)
    return {"suite": suite, "machine": machine.describe(), **result}


def main(argv: list[str]) -> None:
    """Parses flags, runs the suite, writes the JSON."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags begin with --")
    try:
        result = benchmark(FLAGS.suite, FLAGS)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    if FLAGS.json:
        Path(FLAGS.json).expanduser().write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    flags.DEFINE_enum("suite", None, suites(), "What to measure.")
    flags.DEFINE_string("json", "", "A file for the figures.")
    flags.DEFINE_integer(
        "devices", 0, "On CPU, devices of one thread each; 0: as the suite chooses."
    )
    flags.DEFINE_integer(
        "repetitions",
        5,
        "round, input, ingest, models: interleaved repetitions, of which medians are taken.",
    )
    flags.DEFINE_string(
        "cases",
        "",
        "round: a regular expression; only cases whose name it finds.",
    )
    flags.DEFINE_string(
        "models", "", "models: a regular expression; only models whose name it finds."
    )
    flags.DEFINE_integer("threads", 1, "models: of each program, as a training has; 0: all cores.")
    flags.DEFINE_enum("task", None, ["A", "B", "C"], "peers: the common task.")
    flags.DEFINE_string("peers", "", "peers: the folder that holds common.py and flax_models.py.")
    flags.DEFINE_string("layout", "auto", "peers: a layout of fl_jax.core.layouts, or auto.")
    flags.DEFINE_integer(
        "steps_per_call", 0, "peers: steps of a site in one call; 0: as the layout is chosen."
    )
    flags.mark_flag_as_required("suite")
    app.run(main)
