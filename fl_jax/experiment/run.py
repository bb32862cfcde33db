"""Runs a whole experiment: cohort, dataset, partition, all arms, report."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fl_jax.experiment import checkpoint, data, inputs, prepare
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.manifest import ManifestWriter
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.experiment.train import train_arm
from fl_jax.report import interim
from fl_jax.report import survey as surveys
from fl_jax.report.build import build
from fl_jax.workdir import Workdir

TrainArms = Callable[[list[Config], dict[str, Arm], Callable[[str], None]], None]
"""`(configs, plans by arm, finished)`: trains these arms and calls `finished(arm)` after each, see `run`."""


def run(
    config: Config,
    workdir: Workdir,
    *,
    command: str = "",
    reporter: Reporter = SILENT,
    train_arms: TrainArms | None = None,
) -> dict[str, Any]:
    """Runs every stage of an experiment. Stages whose output is complete and current are skipped.

    Args:
        config: the experiment's.
        workdir: for all output.
        command: the command line, for the manifest.
        reporter: follows the experiment.
        train_arms: trains the incomplete arms, for instance in parallel processes; None trains one after
            the other in this process.

    Returns:
        The results, as in `results.json`.

    Raises:
        ValueError: the config does not fit the data, arms were trained from other inputs, or another process
            uses the workdir.
        OSError: the workdir cannot be written, or the disk is full.
        SystemExit: SIGTERM arrived during a training, and the round is saved.
        KeyboardInterrupt: Ctrl-C arrived; as above.
    """
    start_time = time.monotonic()
    survey = surveys.summarize(config.survey)  # fails before training if the file is bad
    checkpoint.check_path(workdir.root)
    with workdir.lock("experiment"):
        manifest = ManifestWriter(workdir, config, command)
        _prepare_data(config, workdir, manifest, reporter)
        arms, plan = _arms(config, workdir, reporter)
        incomplete = [arm for arm in arms if not workdir.is_complete(arm.arm_name)]
        for arm in arms:
            if arm not in incomplete:
                reporter.message(f"{arm.arm_name}: complete, skipped")
        manifest.describe(training=bool(incomplete))

        def train() -> bool:
            if not incomplete:
                return False
            plans = plan()
            for arm in incomplete:
                name = arm.arm_name
                reporter.arm_planned(name, examples=plans[name].budget, rounds=config.rounds)
            (train_arms or in_turn)(incomplete, plans, finished)
            return True

        def in_turn(
            arms: list[Config], plans: dict[str, Arm], finished: Callable[[str], None]
        ) -> None:
            del plans
            loader = data.Loader()
            for arm in arms:
                train_arm(arm, workdir, reporter, loader=loader)
                finished(arm.arm_name)

        def finished(name: str) -> None:
            del name
            left = [arm.arm_name for arm in arms if not workdir.is_complete(arm.arm_name)]
            if left:
                trained = [arm.arm_name for arm in arms if arm.arm_name not in left]
                interim.write(workdir, trained, left)

        manifest.stage("training", train)
        lost = [arm.arm_name for arm in arms if not workdir.is_complete(arm.arm_name)]
        if lost:
            raise ValueError(
                f"{workdir}: files of {', '.join(lost)} were deleted during this run; run it again"
            )
        reporter.message("report ...")
        results = build(workdir, resamples=config.resamples, seed=config.seed, survey=survey)
        reporter.message(manifest.summary(start_time))
        return results


def _prepare_data(
    config: Config, workdir: Workdir, manifest: ManifestWriter, reporter: Reporter
) -> None:
    """Draws the synthetic cohort and prepares the dataset, unless the config names a prepared one."""
    data_dir = data.data_dir(config, workdir)
    if not config.source and data_dir != workdir.data:
        return
    source = Path(config.source).expanduser() if config.source else workdir.cohort
    if not config.source:
        cohort = dataclasses.asdict(config.cohort)
        manifest.stage("cohort", lambda: prepare.draw_cohort(cohort, source, reporter))

    def build_dataset() -> bool:
        summary, built = prepare.prepare(
            source,
            layout=config.source_layout,
            data_dir=data_dir,
            image_size=config.image_size,
            spacing_mm=config.spacing_mm,
            max_refused=config.max_refused,
            reporter=reporter,
        )
        reporter.dataset_ready(summary)
        return built

    manifest.stage("dataset", build_dataset)


def _arms(
    config: Config, workdir: Workdir, reporter: Reporter
) -> tuple[list[Config], Callable[[], dict[str, Arm]]]:
    """The config of each arm and what plans them; refuses arms that were trained from other inputs."""
    opened = data.open_data(config, workdir)
    data.report_intensity(config, opened, reporter)
    partition = data.partition(config, workdir, opened, reporter)
    sites = partition.sites
    arms = [config.replace(arm="federated", site=""), config.replace(arm="central", site="")]
    arms += [config.replace(arm="local", site=site) for site in sites]
    for arm in arms:
        inputs.check(arm, workdir)
    return arms, partial(data.plan, config, opened, partition)
