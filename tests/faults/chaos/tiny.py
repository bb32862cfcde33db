"""A training and a study that take seconds, undisturbed, to hold disturbed ones against."""

import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from chaos import outcomes, programs

ROUNDS = 6
_SITES = ("university", "trauma", "holdout")
_FLAGS = (
    *("--config=configs/demo.py", "--config.image_size=32", "--config.epochs=0.2"),
    *("--config.model=mlp(6, (8,))", "--config.optimizer=adam(1e-3)", "--config.resamples=20"),
    *("--config.algorithm=scaffold(option=1)", "--config.aggregator=top_k(0.1)"),
    *("--config.min_sites=1", "--config.jobs=1"),
    *("--config.spacing_mm=0", "--config.checkpoint_every=1"),
)


class Whole(NamedTuple):
    """A program that ran undisturbed: what it left and where, and what it did to its files."""

    program: programs.Program
    workdir: Path
    found: outcomes.Outcome
    operations: list[programs.Operation]


def dataset(folder: Path) -> Path:
    """Draws a cohort of two hospitals and a hold-out, and prepares its dataset; returns the folder."""
    from fl_jax.data import dataset as builder  # TFDS and OpenCV, which other suites do without
    from fl_jax.phantom.cohort import make_cohort
    from fl_jax.phantom.sites import SITES

    sites = [site for site in SITES if site.name in _SITES]
    make_cohort(folder / "cohort", seed=0, sites=sites, scale=0.08, matrix=64, workers=1)
    builder.prepare(folder / "cohort", data_dir=folder / "data", image_size=32, workers=0)
    return folder / "data"


def training(folder: Path, data: Path) -> programs.Program:
    """The federated training; `folder` is for what it compiles."""
    flags = (*_FLAGS, f"--config.rounds={ROUNDS}", f"--config.data_dir={data}")
    return programs.Program("launch.train", flags, folder)


def study(folder: Path, data: Path) -> programs.Program:
    """The study of it, of three rounds."""
    flags = (*_FLAGS, "--config.rounds=3", f"--config.data_dir={data}")
    return programs.Program("launch.experiment", flags, folder)


def whole(program: programs.Program, workdir: Path) -> Whole:
    """Runs a program undisturbed.

    Raises:
        ValueError: it fails.
    """
    ended = programs.run(program, workdir)
    if ended.status:
        raise ValueError(f"{program.module} ends with status {ended.status}: {ended.said[-2000:]}")
    return Whole(program, workdir, outcomes.outcome(workdir), ended.operations)


def copied(source: Path, workdir: Path) -> Path:
    """Copies a workdir."""
    shutil.copytree(source, workdir)
    return workdir


def without_predictions(workdir: Path, model: str) -> Path:
    """Takes a model's end from a workdir: its rounds are there, its predictions are not."""
    (workdir / "models" / model / "done.json").unlink()
    (workdir / "predictions" / f"{model}.csv").unlink()
    return workdir


def without_report(workdir: Path) -> Path:
    """Takes all that the report consists of from a workdir."""
    for path in workdir.iterdir():
        if programs.kind(path.name, "open") != "report":
            continue
        shutil.rmtree(path) if path.is_dir() else os.unlink(path)
    return workdir


def unfinished(study: Whole, workdir: Path) -> Path:
    """A study in which one model has yet to predict, and the report to be written."""
    without_predictions(copied(study.workdir, workdir), "local_trauma")
    return without_report(workdir)


class Bench:
    """What trials are made with, each made when it is first asked for, in one folder.

    Attributes:
        folder: for everything.
        kills: how often a program of it was killed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.kills = folder, 0

    @cached_property
    def data(self) -> Path:
        """The dataset."""
        return dataset(self.folder)

    @cached_property
    def training(self) -> Whole:
        """The training, undisturbed."""
        return whole(training(self.folder, self.data), self.folder / "training")

    @cached_property
    def study(self) -> Whole:
        """The study, undisturbed."""
        return whole(study(self.folder, self.data), self.folder / "study")

    @cached_property
    def ending(self) -> Whole:
        """The study, undisturbed from where it is `unfinished`."""
        return whole(self.study.program, unfinished(self.study, self.folder / "ending"))
