"""One training: the federated, the central or a local model of a study, with its predictions.

    python -m launch.train --config=configs/ich_fed_avg.py --workdir=DIR --config.arm=central

Goes on from the newest checkpoint; a training that is complete is left as it is. SIGTERM ends it after the
round under way, saved, with exit status 75; a second one ends it at once.
"""

import time
from pathlib import Path
from typing import Any

import jax
import msgspec
from absl import app, flags

from fl_jax.data.studies import Studies
from fl_jax.experiment import data as experiment
from fl_jax.experiment import heads, inputs, machine, preemption
from fl_jax.experiment import metrics as metrics_log
from fl_jax.experiment import restore as trained
from fl_jax.experiment import setup as training
from fl_jax.experiment import study_predictions as whole_studies
from fl_jax.experiment import train as study
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.workdir import PERSONAL, Workdir
from fl_jax.workdir.schema import Done
from launch.cli import config_flag, progress

FLAGS = flags.FLAGS


def train(
    config: Config,
    workdir: Path,
    reporter: Reporter = SILENT,
) -> dict[str, Any]:
    """Trains one arm, predicts with its best round, and writes it all under the workdir.

    Args:
        config: see `configs/ich_fed_avg.py`.
        workdir: the study's folder.
        reporter: is told what is skipped, resumed or damaged, and of progress.

    Returns:
        What `models/<model>/done.json` holds.

    Raises:
        ValueError: for a config that is wrong, a run begun with other inputs, or one that another process is
            at work on.
        OSError: the workdir cannot be written, or has no room.
        SystemExit: SIGTERM came, and the round is saved.
    """
    name = config.arm_name
    with Workdir(workdir).lock(name):
        return _train(config, workdir, name, reporter)


def _train(
    config: Config,
    workdir: Path,
    name: str,
    reporter: Reporter,
) -> dict[str, Any]:
    say = reporter.message
    began = time.monotonic()
    folder = Workdir(workdir).arm(name)
    opened = experiment.load(config, workdir)
    if name not in opened.arms:
        raise ValueError(f"config.site={config.site!r}: the sites are {opened.partition.sites}")
    arm = opened.arms[name]
    inputs.check(config, workdir)
    if experiment.is_complete(config, workdir):
        say(f"{name}: complete, skipped")
        return msgspec.to_builtins(Workdir(workdir).arm(name).read_done() or Done())

    if config.backbone:
        read = trained.reader(config, complain=say)
        task, slices = heads.task(config, workdir, opened, arm, read)
    else:
        task, slices = training.task(config, workdir, opened, arm)
    ready = training.prepare(
        config,
        opened,
        arm,
        task,
        slices,
        say=say,
        on_examples=lambda count: reporter.examples_seen(name, count),
        complain=say,
    )
    inputs.write(config, workdir)  # not before: a config that is refused starts no run
    reporter.arm_started(name, examples=arm.budget, rounds=config.rounds)
    store = Store(folder.checkpoints)
    log = metrics_log.Metrics(folder.metrics, tracker="tensorboard")
    last = None
    with preemption.noted() as asked:
        for last in ready.rounds(store):
            log.record(last.record)
            reporter.round_finished(name, last.record)
            if last.restored:
                say(f"{name}: goes on after round {last.record['round']}")
                reporter.examples_seen(name, sum(r["examples"] for r in log.records()))
            if asked():
                break
    log.close()
    store.close()
    assert last is not None  # `study.arms` plans at least one round
    if asked():
        say(
            f"{name}: ended by SIGTERM, round {last.record['round']} is saved; run this again to go on"
        )
        raise SystemExit(preemption.STATUS)

    files = Workdir(workdir)
    if name == "federated":  # an algorithm that was replaced may have left one
        files.predictions(PERSONAL).unlink(missing_ok=True)
    found = study.predictions(arm, task, last.best, slices, opened.partition)
    for judged, scores in found.items():
        files.write_predictions(judged, scores)
    if isinstance(slices, Studies):
        whole = whole_studies.predictions(arm, task, last.best, slices, opened.partition)
        files.write_study_predictions(name, whole)
    seconds = sum(record["seconds"] for record in log.records())
    examples = sum(record["examples"] for record in log.records())
    done = Done(
        best_round=last.facts["best_round"],
        best_val_macro_auroc=last.facts["best_val_macro_auroc"],
        rounds=config.rounds,
        examples_seen=examples,
        seconds=round(seconds, 1),
        images_per_second=round(examples / seconds, 1),
        wall_seconds=round(time.monotonic() - began, 1),
        parameters=ready.parameters,
        predictions=[*found],
        device=f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    )
    files.arm(name).write_done(done)
    return msgspec.to_builtins(done)


def main(argv: list[str]) -> None:
    """Parses flags and calls `train`."""
    preemption.end_on_sigterm()
    if FLAGS.attached:
        preemption.end_with_parent()
    with progress.readable_errors(), progress.reporter() as shown:
        reporter = progress.Messages(progress.console()) if FLAGS.attached else shown
        config = Config.of(FLAGS.config)
        machine.use_threads(config.threads)
        train(config, Path(FLAGS.workdir).expanduser(), reporter)


if __name__ == "__main__":
    config_flag.define()
    flags.DEFINE_bool(
        "attached",
        False,
        "Show messages only, and end when standard input does: the parent is gone.",
    )
    app.run(main, flags_parser=config_flag.parse)
