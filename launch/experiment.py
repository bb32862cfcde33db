"""The whole study: cohort, dataset, federated, central and local models, evaluation and report.

    python -m launch.experiment --config=configs/demo.py --workdir=DIR [--config.rounds=3 ...]

`--helpfull` lists the fields of the config.
A stage whose output is complete and whose inputs are unchanged is skipped with a word, so the same command
goes on where it was cut off. With `config.jobs` over 1, so many trainings run side by side, each a process of
its own (`launch.train`) with `config.threads`, because two small models on a core each are faster than one
after the other on two. With 1 they run in this process. How many run side by side changes no number.

SIGTERM ends it after the round under way, saved, with exit status 75; a second one ends it at once.
"""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from absl import app, flags

from fl_jax.data import slices
from fl_jax.experiment import data as experiment
from fl_jax.experiment import inputs, machine, preemption, prepare
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import Reporter
from fl_jax.files import atomic
from fl_jax.report import survey as surveys
from fl_jax.report.build import build
from fl_jax.report.headline import sentence
from fl_jax.workdir import Workdir
from launch import train
from launch.cli import config_flag, processes, progress

FLAGS = flags.FLAGS
PACKAGES = (
    *("fl_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy"),
    *("scikit-learn", "tensorflow-datasets", "pydicom", "opencv-python-headless"),
)


def study(config: Config, workdir: Path, arguments: list[str]) -> dict[str, Any]:
    """Runs every stage.

    Args:
        config: see `configs/demo.py`.
        workdir: the folder for everything.
        arguments: the flags that this program was called with; each training gets them too.

    Returns:
        The results, as in `results.json`.

    Raises:
        ValueError: for a value of the config out of its range, before anything is written; a source's layout
            that no study could come of, a fault of the source, or a workdir that another process holds.
        OSError: the workdir cannot be written, or has no room.
    """
    survey = surveys.summarize(config.survey)  # fails before training
    with Workdir(workdir).lock("experiment"):
        return _study(config, workdir, arguments, survey)


def _study(
    config: Config, workdir: Path, arguments: list[str], survey: dict[str, Any] | None
) -> dict[str, Any]:
    with progress.reporter() as reporter:
        return _stages(config, workdir, arguments, survey, reporter)


def _stages(
    config: Config,
    workdir: Path,
    arguments: list[str],
    survey: dict[str, Any] | None,
    reporter: Reporter,
) -> dict[str, Any]:
    say = reporter.message
    manifest = Manifest(workdir, config)
    if config.source or experiment.data_dir(config, workdir) == workdir / "data":
        source = Path(config.source).expanduser() if config.source else workdir / "cohort"
        if not config.source:
            manifest.stage(
                "cohort",
                lambda: prepare.draw_cohort(dataclasses.asdict(config.cohort), source, reporter),
            )
        manifest.stage("dataset", lambda: _dataset(config, workdir, source, reporter))
    arms = _arms(config, workdir, say)
    manifest.describe(config, anew=not all(experiment.is_complete(arm, workdir) for arm in arms))
    manifest.stage("training", lambda: _train(arms, workdir, arguments, reporter))
    say("report ...")
    results = build(
        Workdir(workdir),
        resamples=config.resamples,
        seed=config.seed,
        survey=survey,
    )
    say(f"\n{sentence(results)}\n\nreport: {workdir / 'report.html'}")
    return results


class Manifest:
    """`manifest.json`: what was run, with what, where, and how long each stage took."""

    def __init__(self, workdir: Path, config: Config) -> None:
        self._path = workdir / "manifest.json"
        found = Workdir(workdir).read_manifest()
        self.content: dict[str, Any] = msgspec.to_builtins(found) if found else {}
        self.content["stages"] = self.content.get("stages") or {}
        if found is None:
            self.describe(config, anew=True)

    def describe(self, config: Config, *, anew: bool) -> None:
        """Writes the config and, where something is trained anew, what trains it."""
        self.content["config"] = config.to_dict()
        found = experiment.data_dir(config, self._path.parent)
        if found != self._path.parent / "data":  # the report finds it from any folder
            self.content["config"]["data_dir"] = str(found.absolute())
        if config.survey:
            found = Path(config.survey).expanduser().absolute()
            self.content["config"]["survey"] = str(found)
        if anew:
            program = sys.executable.rsplit("/", 1)[-1]
            self.content |= {
                "command": shlex.join([program, "-m", "launch.experiment", *sys.argv[1:]]),
                "seed": config.seed,
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "versions": _versions(),
                "git": _git(),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            }
        self.write()

    def stage(self, name: str, work: Callable[[], bool]) -> None:
        """Does a stage; its time is added to that of earlier runs, unless it had nothing to do.

        Args:
            name: of the stage.
            work: returns whether there was something to do; what raises had.
        """
        began, worked = time.monotonic(), True
        try:
            worked = work()
        finally:
            stages = self.content["stages"]
            if worked:
                stages[name] = round((stages.get(name) or 0.0) + time.monotonic() - began, 1)
            self.write()

    def write(self) -> None:
        """Writes the file; the device is what the trainings found."""
        for arm in Workdir(self._path.parent).arms():
            done = arm.read_done()
            if done:
                self.content["device"] = done.device
        atomic.write_json(self._path, self.content)


def _dataset(config: Config, workdir: Path, source: Path, reporter: Reporter) -> bool:
    data_dir = experiment.data_dir(config, workdir)
    before = slices.read_summary(data_dir)
    summary = prepare.prepare(
        source,
        layout=config.source_layout,
        data_dir=data_dir,
        image_size=config.image_size,
        max_refused=config.max_refused,
        reporter=reporter,
    )
    reporter.dataset_ready(summary)
    return summary != before


def _arms(config: Config, workdir: Path, say: Callable[[str], None]) -> list[Config]:
    """A config for every training, after a check that none was begun with other inputs."""
    data = experiment.open_data(config, workdir)
    sites = experiment.partition(config, workdir, data, say).sites
    names = [("federated", ""), ("central", ""), *(("local", site) for site in sites)]
    arms = [config.replace(arm=arm, site=site) for arm, site in names]
    for arm in arms:
        inputs.check(arm, workdir)
    return arms


def _train(arms: list[Config], workdir: Path, arguments: list[str], reporter: Reporter) -> bool:
    left = [arm for arm in arms if not experiment.is_complete(arm, workdir)]
    for arm in arms:
        if arm not in left:
            reporter.message(f"{arm.arm_name}: complete, skipped")
    if not left:
        return False
    jobs = processes.choose(left[0].jobs, left[0].threads)
    if jobs == 1:
        for arm in left:
            train.train(arm, workdir, reporter)
        return True
    planned = experiment.load(left[0], workdir).arms
    start = [sys.executable, "-m", "launch.train", *arguments, f"--workdir={workdir}", "--attached"]
    trainings = []
    for arm in left:
        name = arm.arm_name
        reporter.arm_started(name, examples=planned[name].budget, rounds=arm.rounds)
        flags = [f"--config.{key}={getattr(arm, key)}" for key in ("arm", "site")]
        metrics = workdir / "models" / name / "metrics.jsonl"
        trainings.append(processes.Training(name, [*start, *flags], metrics))
    processes.run(trainings, jobs, os.environ, reporter)
    return True


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git() -> str:
    """The commit that the code is at, with `-dirty` where it was changed; empty outside of git."""
    root = Path(__file__).parent.parent
    command = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def main(argv: list[str]) -> None:
    """Parses flags and calls `study`."""
    preemption.end_on_sigterm()
    with progress.readable_errors():
        config = Config.of(FLAGS.config)
        machine.use_threads(config.threads)
        study(config, Path(FLAGS.workdir).expanduser(), sys.argv[1:])


if __name__ == "__main__":
    config_flag.define()
    app.run(main, flags_parser=config_flag.parse)
