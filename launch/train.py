"""Trains one arm of an experiment, federated, central or local, and predicts with it.

    python -m launch.train --config=configs/ich_fed_avg.py --workdir=DIR --config.arm=central

Resumes from the newest checkpoint; a complete arm is skipped. SIGTERM ends the training after the
current round, which is saved, with exit status 75, and so does Ctrl-C with its usual status; a second signal
ends it at once.
"""

from absl import app, flags, logging

from fl_jax.experiment.config import Config
from launch.cli import config_flag, output

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Parses flags and trains the arm."""
    from fl_jax.experiment import machine, preemption  # imported late: --help answers at once
    from launch.cli import progress

    preemption.end_on_signals()
    orders = preemption.end_with_parent() if FLAGS.attached else None
    logging.set_verbosity(logging.WARNING)
    with progress.readable_errors():
        machine.use_threads(Config.parse(FLAGS.config).threads)
        config = Config.of(FLAGS.config)

        from fl_jax.experiment.train import train_arm
        from fl_jax.workdir import Workdir
        from launch.cli import processes

        if orders is not None:
            processes.obey(orders, config, Workdir(FLAGS.workdir))
            return
        with progress.reporter() as reporter:
            done = train_arm(config, Workdir(FLAGS.workdir), reporter)
        output.show(done, lambda: None)


if __name__ == "__main__":
    config_flag.define()
    flags.DEFINE_bool(
        "attached",
        False,
        "Train the arms that a parent process names on standard input, see launch/cli/processes.py.",
    )
    app.run(main, flags_parser=config_flag.parse)
