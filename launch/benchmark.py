"""Benchmarks: ratios to a floor measured in the same run, as tables or JSON.

    python -m launch.benchmark --suite=round [--cases=REGEX] [--devices=2]
    python -m launch.benchmark --suite=ingest
    python -m launch.benchmark --suite=input
    python -m launch.benchmark --suite=statistics
    python -m launch.benchmark --suite=models [--models=REGEX] [--threads=1]
    python -m launch.benchmark --suite=peers --task=A --peers=DIR
    python -m launch.benchmark --suite=compiled [--cases=REGEX]

All take `--json`, which prints the figures as JSON on standard output and the tables on standard error.
launch/benchmarks/README.md says what each suite measures, with results. `round`, `models` and `peers` need
only jax, flax, optax, numpy and absl.
"""

import contextlib
import importlib
import sys
from typing import Any

from absl import app, flags

from fl_jax.experiment import machine
from launch.cli import arguments, output

FLAGS = flags.FLAGS
SUITES = {
    "round": "rounds",
    "ingest": "ingest",
    "input": "inputs",
    "statistics": "evaluation",
    "models": "models",
    "peers": "peers",
    "compiled": "compiled",
}
"""Suite to its module in `launch.benchmarks`, whose function `run(options)` measures."""


def benchmark(suite: str, options: Any) -> dict[str, Any]:
    """Runs a suite.

    Args:
        suite: a key of `SUITES`.
        options: the flags, or anything with their names as attributes.

    Returns:
        The machine and the suite's figures.
    """
    result = importlib.import_module(f"launch.benchmarks.{SUITES[suite]}").run(options)
    return {"suite": suite, "machine": machine.describe(), **result}


def main(argv: list[str]) -> None:
    """Parses flags and runs the suite."""
    arguments.only_flags(argv)
    tables = sys.stderr if FLAGS.json else sys.stdout
    try:
        with contextlib.redirect_stdout(tables):
            result = benchmark(FLAGS.suite, FLAGS)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    output.show(result, lambda: None)


if __name__ == "__main__":
    output.define_json_flag()
    flags.DEFINE_enum("suite", None, [*SUITES], "What to measure.", required=True)
    flags.DEFINE_integer("devices", 0, "Devices of one CPU thread each; 0: the suite chooses.")
    flags.DEFINE_integer("repetitions", 5, "Interleaved repetitions, of which medians are taken.")
    flags.DEFINE_string(
        "cases", "", "round, compiled: regular expression that selects cases by name."
    )
    flags.DEFINE_string("models", "", "models: regular expression that selects models by name.")
    flags.DEFINE_integer("threads", 1, "models: threads of each program; 0: all cores.")
    flags.DEFINE_enum("task", None, ["A", "B", "C"], "peers: the common task.")
    flags.DEFINE_string("peers", "", "peers: the folder with common.py and flax_models.py.")
    flags.DEFINE_string("layout", "auto", "peers: a layout of fl_jax.core.layouts, or auto.")
    flags.DEFINE_integer("steps_per_call", 0, "peers: steps per call; 0: as the layout chooses.")
    app.run(main)
