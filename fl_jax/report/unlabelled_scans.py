"""Predictions for scans without labels as a table, ordered by position; `inference_page` shows them.

    image,patient,study,series,position,any,epidural,...,called

Probabilities in [0, 1], position in mm; called is 1 if the slice is called for hemorrhage.

Patients, studies and series are numbered (`P1`, `P1.1`, `P1.1.2`) in the order of their images' names, so
neither file contains an identifier from a DICOM header. An image is named by its path in the source, which
joins it with its file; the page says that such a path may name a patient.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.data.dicom import Reason
from fl_jax.data.metadata import REMEDY, check_digest
from fl_jax.data.site_names import SITE_NAME
from fl_jax.data.slices import Slices
from fl_jax.files import csv_table
from fl_jax.files.text import LONGEST, printable

COLUMNS = ("image", "patient", "study", "series", "position", *LABELS, "called")
MAX_REFUSED = 200
"""Maximum number of refused files that a page lists for one reason."""


class ScanPredictions(NamedTuple):
    """A model's probabilities for N slices, ordered by series and position.

    Attributes:
        row: int[N], the slice's row in the dataset.
        image: str[N], unique.
        patient: str[N], such as "P1".
        study: str[N], such as "P1.1".
        series: str[N], such as "P1.1.2".
        position: float32[N], mm along the slice normal.
        scores: float64[N, L], probabilities in [0, 1].
    """

    row: NDArray[np.int64]
    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    series: NDArray[np.str_]
    position: NDArray[np.float32]
    scores: NDArray[np.float64]


class Refused(NamedTuple):
    """Files refused for one reason: how many, and the first (name, detail) pairs."""

    reason: str
    number: int
    files: Sequence[tuple[str, str]]


def collect(slices: Slices, scores: NDArray[np.float64]) -> ScanPredictions:
    """Numbers patients, studies and series, and orders their slices.

    Args:
        slices: a dataset of N slices.
        scores: float64[N, L], probabilities in [0, 1], in the dataset's order.

    Returns:
        The predictions, ordered by patient, study, series, position and image.

    Raises:
        ValueError: scores has another shape.
    """
    if scores.shape != slices.labels.shape:
        raise ValueError(f"scores has shape {scores.shape}, expected {slices.labels.shape}")
    numbers: dict[tuple[str, ...], tuple[int, ...]] = {(): ()}
    children: dict[tuple[int, ...], int] = {}

    def number(path: tuple[str, ...]) -> tuple[int, ...]:
        if path not in numbers:
            parent = number(path[:-1])
            children[parent] = children.get(parent, 0) + 1
            numbers[path] = (*parent, children[parent])
        return numbers[path]

    paths = list(
        zip(slices.patient.tolist(), slices.study.tolist(), slices.series.tolist(), strict=True)
    )
    places = np.empty((len(slices), 3), int)
    for row in np.argsort(slices.image, kind="stable").tolist():
        places[row] = number(paths[row])
    order = np.lexsort((slices.image, slices.position, *places.T[::-1]))
    text = places[order].astype(str)
    return ScanPredictions(
        row=order,
        image=slices.image[order],
        patient=np.array([f"P{p}" for p, _, _ in text]),
        study=np.array([f"P{p}.{s}" for p, s, _ in text]),
        series=np.array([f"P{p}.{s}.{e}" for p, s, e in text]),
        position=slices.position[order],
        scores=scores[order],
    )


def write(
    path: str | os.PathLike[str], predicted: ScanPredictions, called: NDArray[np.bool_]
) -> None:
    """Writes the CSV atomically, one line a slice; `called` is bool[N]."""
    rows = (
        (*names, f"{position:.6g}", *(f"{score:.9g}" for score in scores), int(call))
        for *names, position, scores, call in zip(*predicted[1:], called, strict=True)
    )
    csv_table.write(path, COLUMNS, rows)


def refusals(path: str | os.PathLike[str], source: str | os.PathLike[str] = "") -> list[Refused]:
    """Groups a dataset's refused files by reason, the most common first.

    Args:
        path: the dataset's `refused.csv`.
        source: folder to which file names are made relative; empty leaves them as they are.

    Returns:
        For each reason the number of files, and (name, detail) of the first `MAX_REFUSED`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is malformed; names file, line, value and remedy.
    """
    header, reasons = ("site", "path", "reason", "detail"), {*Reason}
    read = csv_table.read(path, header, header=header, remedy=REMEDY)
    csv_table.check(path, read, "site", SITE_NAME.fullmatch, f"expected a site; {REMEDY}")
    csv_table.check(path, read, "path", bool, f"expected a file; {REMEDY}")
    csv_table.check(path, read, "reason", reasons.__contains__, f"expected a reason; {REMEDY}")
    check_digest(Path(path).parent, Path(path).name)
    by_reason: dict[str, list[tuple[str, str]]] = {}
    for file, reason, detail in zip(read["path"], read["reason"], read["detail"], strict=True):
        name = os.path.relpath(file, source) if source else file
        by_reason.setdefault(reason, []).append((printable(name, LONGEST), printable(detail)))
    return [
        Refused(reason, len(files), files[:MAX_REFUSED])
        for reason, files in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
