"""Runs a sweep; see `launch.sweep.sweep`.

python -m launch.sweep --config=configs/digits_skew.py --workdir=DIR [--only=fed_avg,scaffold]
"""

from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags
from rich.console import Console

from fl_jax.experiment import preemption
from fl_jax.files import folders, locks
from fl_jax.files.regular import read_text
from launch.cli import arguments, output, processes, progress
from launch.sweep.sweep import sweep

FLAGS = flags.FLAGS


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Parses flags and calls `sweep`."""
    arguments.only_flags(argv)
    logging.set_verbosity(logging.WARNING)  # jax reports each accelerator that is not there
    config = FLAGS.config
    config.jobs = processes.choose(config.jobs, 1)  # threads of one process, which share its XLA
    workdir = Path(FLAGS.workdir).expanduser()
    preemption.end_on_signals()
    folders.claim(workdir, "sweep", flag="--workdir")
    with locks.lock(workdir, "sweep", flag="--workdir"), progress.reporter() as reporter:
        tick = progress.ticker(reporter, "sweep", "runs")
        results = sweep(config, workdir, only=FLAGS.only, tick=tick)

    def text() -> None:
        progress.Messages(Console()).message(
            f"{read_text(workdir / 'table.md')}\n{results['runs']} runs in "
            f"{results['wall_seconds']:.0f} s: {workdir / 'figure.png'}"
        )

    output.show(results, text)


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", None, "The sweep, a file in configs/.")
    flags.DEFINE_string("workdir", None, "Folder for everything that the sweep writes.")
    flags.DEFINE_list("only", [], "Rows, as NAME in every panel or PANEL/NAME, to run no others.")
    flags.mark_flags_as_required(["config", "workdir"])
    output.define_json_flag()
    app.run(main)
