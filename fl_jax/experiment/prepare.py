"""Prepares an experiment's dataset from DICOM files or from the synthetic cohort, and reports progress."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from fl_jax.data import dataset, dicom
from fl_jax.experiment import machine
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.phantom.cohort import make_cohort


def prepare(
    source: str | Path,
    *,
    layout: str,
    data_dir: str | Path,
    image_size: int,
    spacing_mm: float = 0.0,
    max_refused: float,
    workers: int | None = None,
    repairs: frozenset[dicom.Repair] = dicom.ALL_REPAIRS,
    reporter: Reporter = SILENT,
) -> tuple[dataset.Summary, bool]:
    """`fl_jax.data.dataset.prepare`, with progress and messages reported; same arguments and errors.

    Returns:
        The summary, and whether the dataset was built.
    """
    logging.set_verbosity(logging.WARNING)  # TFDS logs each of its files

    built = False

    def files(done: int, total: int) -> None:
        nonlocal built
        built = True
        reporter.progress("dataset", done, total, "files")

    summary = dataset.prepare(
        source,
        layout=layout,
        data_dir=data_dir,
        image_size=image_size,
        spacing_mm=spacing_mm,
        max_refused=max_refused,
        workers=workers,
        repairs=repairs,
        progress=files,
        say=reporter.message,
    )
    if not built:
        reporter.message("dataset: complete, skipped")
    return summary, built


def draw_cohort(cohort: Mapping[str, Any], folder: Path, reporter: Reporter = SILENT) -> bool:
    """Draws the synthetic cohort into `folder` unless it is complete; returns whether it drew.

    Args:
        cohort: keywords of `make_cohort`.
        folder: for its site folders.
        reporter: gets the number of patients drawn.
    """
    drawn = False

    def patients(done: int, total: int) -> None:
        nonlocal drawn
        drawn = True
        reporter.progress("cohort", done, total, "patients")

    make_cohort(folder, **cohort, workers=machine.cores(), progress=patients)
    if not drawn:
        reporter.message("cohort: complete, skipped")
    return drawn


def prepare_cohort(
    cohort: Mapping[str, Any],
    folder: Path,
    *,
    data_dir: Path,
    image_size: int,
    max_refused: float,
    spacing_mm: float = 0.0,
) -> None:
    """Draws the synthetic cohort into `folder` and prepares its dataset, unless both are complete."""
    draw_cohort(cohort, folder)
    prepare(
        folder,
        layout="sites",
        data_dir=data_dir,
        image_size=image_size,
        spacing_mm=spacing_mm,
        max_refused=max_refused,
    )
