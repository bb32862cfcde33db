"""Builds a dataset with a progress bar and shows what it holds; for `prepare_data` and `study`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from absl import logging
from rich import box
from rich.console import Console
from rich.table import Table

from fl_jax.core.types import LABELS
from fl_jax.data import dataset as builder
from fl_jax.data import dicom
from fl_jax.experiment import machine
from fl_jax.phantom.cohort import make_cohort
from launch.cli import progress

SHORT = dict(zip(LABELS, ("any", "EDH", "IPH", "IVH", "SAH", "SDH"), strict=True))
"""The labels as a narrow table can show them."""
LEFT_OUT = {
    "labels_without_image": "label without image",
    "images_without_label": "image without label",
    "duplicate_labels": "duplicate label line",
    "any_repaired": "'any' set from a subtype",
}
"""What a listing counts beside the files that it reads, in words."""
SHARED = {
    "shared_pictures": "picture that another image has",
    "linked_patients": "patient kept beside another that shares it",
}
"""What is found of equal pictures, in words."""


def prepare(
    console: Console,
    source: str | Path,
    *,
    layout: str,
    data_dir: str | Path,
    image_size: int,
    max_refused: float,
    workers: int | None,
    repairs: frozenset[dicom.Repair] = dicom.ALL_REPAIRS,
) -> builder.Summary:
    """`builder.prepare` with a progress bar on `console`; arguments and errors are the same."""
    logging.set_verbosity(logging.WARNING)  # TFDS reports each of its files
    with progress.counter("dataset", "files", console, before="listing files") as tick:
        return builder.prepare(
            source,
            layout=layout,
            data_dir=data_dir,
            image_size=image_size,
            max_refused=max_refused,
            workers=workers,
            repairs=repairs,
            progress=tick,
            copied=partial(tick, name="records", unit="slices sorted and written"),
            say=progress.speaker(console),
        )


def prepare_cohort(
    cohort: Mapping[str, Any], folder: Path, *, data_dir: Path, image_size: int, max_refused: float
) -> None:
    """Draws the synthetic cohort into `folder` and builds its dataset, quietly, unless both are there."""
    make_cohort(folder, **cohort, workers=machine.cores())
    prepare(
        Console(stderr=True, quiet=True),
        folder,
        layout="sites",
        data_dir=data_dir,
        image_size=image_size,
        max_refused=max_refused,
        workers=None,
    )


def table(summary: builder.Summary) -> Table:
    """Sites x (patients, studies, slices, positives per label), with a row of totals."""
    shown = Table(
        title="Dataset: positive slices per label",
        caption="epidural, intraparenchymal, intraventricular, subarachnoid, subdural hemorrhage",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("site", no_wrap=True)
    counts = ("patients", "studies", "slices")
    for name in (*counts, *SHORT.values(), "refused"):
        shown.add_column(name, justify="right")
    total = [0] * (len(counts) + len(LABELS) + 1)
    for site, found in summary["sites"].items():
        row = [found[name] for name in counts]
        row += [found["positives"][label] for label in LABELS]
        row.append(sum(found["refused"].values()))
        total = [a + b for a, b in zip(total, row, strict=True)]
        shown.add_row(site, *map(str, row))
    shown.add_section()
    shown.add_row("all", *map(str, total))
    return shown


def notes(summary: builder.Summary) -> Table | None:
    """What was refused, repaired or left out, by reason and site; None where nothing was."""
    where: dict[tuple[str, str], dict[str, int]] = {}
    for site, found in summary["sites"].items():
        kinds = {("refused", reason): count for reason, count in found["refused"].items()}
        kinds |= {("repaired", repair): count for repair, count in found["repairs"].items()}
        kinds |= {("labels", LEFT_OUT[name]): found[name] for name in LEFT_OUT}
        kinds |= {("pictures", SHARED[name]): found[name] for name in SHARED}
        for kind, count in kinds.items():
            if count:
                where.setdefault(kind, {})[site] = count
    if not where:
        return None
    shown = Table(
        title="Files and labels that were not taken as they are",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("what", no_wrap=True)
    shown.add_column("why", no_wrap=True)
    shown.add_column("all", justify="right")
    shown.add_column("where", overflow="fold")
    for (what, why), counts in sorted(where.items()):
        sites = ", ".join(f"{site} {count}" for site, count in counts.items())
        shown.add_row(what, why, str(sum(counts.values())), sites)
    return shown
