"""Runs a whole experiment: cohort or your data, all arms, evaluation and report.

    python -m launch.experiment --config=configs/demo.py --workdir=DIR [--config.rounds=3 ...]

Complete stages whose inputs are unchanged are skipped, so the same command resumes an interrupted experiment.
With `config.jobs` above 1, that many arms train in parallel processes: two small models on one core each are
faster than one after the other on two cores. Results do not depend on it.

SIGTERM ends the experiment after the current rounds, which are saved, with exit status 75, and so does Ctrl-C
with its usual status; a second signal ends it at once.
"""

import shlex
import sys
from functools import partial

from absl import app, flags, logging

from fl_jax.experiment.config import Config
from launch.cli import config_flag, output

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Parses flags and runs the experiment."""
    from fl_jax.experiment import machine, preemption  # imported late: --help answers at once
    from launch.cli import progress

    preemption.end_on_signals()
    logging.set_verbosity(logging.WARNING)
    with progress.readable_errors(), machine.share_programs():
        machine.use(Config.parse(FLAGS.config))
        config = Config.of(FLAGS.config)

        from fl_jax.experiment.run import run
        from fl_jax.report.headline import sentence
        from fl_jax.workdir import Workdir
        from launch.cli import processes

        workdir = Workdir(FLAGS.workdir)
        python = sys.executable.rsplit("/", 1)[-1]
        with progress.reporter() as reporter:
            jobs = processes.choose(config.jobs, config.threads)
            in_parallel = partial(processes.train_arms, workdir, sys.argv[1:], jobs, reporter)
            results = run(
                config,
                workdir,
                command=shlex.join([python, "-m", "launch.experiment", *sys.argv[1:]]),
                reporter=reporter,
                train_arms=in_parallel if jobs > 1 else None,
            )
        output.show(results, lambda: print(f"{sentence(results)}\n{workdir.report}"))


if __name__ == "__main__":
    config_flag.define()
    app.run(main, flags_parser=config_flag.parse)
