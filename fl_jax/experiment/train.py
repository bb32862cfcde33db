"""Trains one arm and predicts with its best round."""

import time

import jax

from fl_jax.data.studies import Studies
from fl_jax.experiment import data, heads, inputs, predict, preemption, restore, rounds, setup
from fl_jax.experiment.checkpoint import Store, check_path
from fl_jax.experiment.config import Config
from fl_jax.experiment.metrics import Metrics
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.files.atomic import delete
from fl_jax.files.locks import Lock
from fl_jax.workdir import PERSONAL, Workdir
from fl_jax.workdir.schema import Done


def train_arm(
    config: Config,
    workdir: Workdir,
    reporter: Reporter = SILENT,
    *,
    loader: data.Loader | None = None,
) -> Done:
    """Trains the arm that `config.arm` and `config.site` name, unless it is complete.

    SIGTERM or Ctrl-C ends the training after the current round, which is saved.

    Args:
        config: the experiment's.
        workdir: gets checkpoints, metrics and predictions.
        reporter: follows the training.
        loader: opens the dataset; arms that are trained with the same one share its memory.

    Returns:
        The content of `done.json`.

    Raises:
        ValueError: the config does not fit the data, the arm was trained from other inputs, or another
            process trains it.
        OSError: the workdir cannot be written, or the disk is full.
        SystemExit: SIGTERM arrived, and the round is saved.
        KeyboardInterrupt: Ctrl-C arrived, and the round is saved.
    """
    check_path(workdir.root)
    with workdir.lock(config.arm_name) as lock:
        return _train(config, workdir, reporter, lock, loader or data.Loader())


def _train(
    config: Config, workdir: Workdir, reporter: Reporter, lock: Lock, loader: data.Loader
) -> Done:
    start_time, name = time.monotonic(), config.arm_name
    folder = workdir.arm(name)
    experiment = loader.load(config, workdir)
    if name not in experiment.arms:
        raise ValueError(
            f"config.site={config.site!r}: must be one of {', '.join(experiment.partition.sites)}"
        )
    arm = experiment.arms[name]
    inputs.check(config, workdir)
    if workdir.is_complete(name):
        reporter.message(f"{name}: complete, skipped")
        return folder.read_done() or Done()

    if config.backbone:
        reader = restore.reader(config, reporter)
        task, slices = heads.make_task(config, workdir, experiment.slices, arm, reader, reporter)
    else:
        task, slices = setup.make_task(config, workdir, experiment.slices, arm)
    training = setup.prepare(config, arm, task, slices, experiment.key, reporter)
    inputs.write(config, workdir)  # after all checks: a refused config writes nothing
    reporter.arm_started(name, examples=arm.budget, rounds=config.rounds)
    store, log = Store(folder.checkpoints), Metrics(folder.metrics, tracker=config.tracker)
    progress = None
    with preemption.noted() as stop:

        def check_and_stop() -> bool:
            lock.check()
            return stop()

        steps = rounds.train(
            training,
            store,
            checkpoint_every=config.checkpoint_every,
            reporter=reporter,
            stop=check_and_stop,
        )
        for progress in steps:
            log.record(progress.record)
            reporter.round_finished(name, progress.record)
            if progress.restored:
                reporter.message(f"{name}: resumed after round {progress.record['round']}")
                reporter.examples_seen(name, sum(line["examples"] for line in log.records()))
    log.close()
    assert progress is not None  # an arm has at least one round
    if stop():
        reporter.message(
            f"{name}: stopped, round {progress.record['round']} is saved; run this again to resume"
        )
        stop.leave()

    if name == "federated":  # predictions of an earlier algorithm
        delete(workdir.predictions(PERSONAL))
    predictions = predict.predict_slices(arm, task, progress.best, slices, experiment.partition)
    for model, table in predictions.items():
        workdir.write_predictions(model, table)
    if isinstance(slices, Studies):
        table = predict.predict_studies(arm, task, progress.best, slices, experiment.partition)
        workdir.write_study_predictions(name, table)
    seconds = sum(line["seconds"] for line in log.records())
    examples = sum(line["examples"] for line in log.records())
    done = Done(
        best_round=progress.facts["best_round"],
        best_val_macro_auroc=progress.facts["best_val_macro_auroc"],
        rounds=config.rounds,
        examples_seen=examples,
        seconds=round(seconds, 1),
        images_per_second=round(examples / seconds, 1),
        wall_seconds=round(time.monotonic() - start_time, 1),
        parameters=training.parameters,
        predictions=[*predictions],
        device=f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    )
    folder.write_done(done)
    return done
