"""Predictions for scans without labels: a CSV, and a page of slices ordered by position.

    image,patient,study,series,position,any,epidural,...     probabilities in [0, 1], position in mm

Patients, studies and series are numbered (`P1`, `P1.1`, `P1.1.2`) in the order of their images' names, so
neither file contains an identifier from a DICOM header. An image is named by its path in the source, which
joins it with its file; the page says that such a path may name a patient.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.data.dicom import Reason
from fl_jax.data.metadata import REMEDY, check_digest
from fl_jax.data.site_names import SITE_NAME
from fl_jax.data.slices import Slices
from fl_jax.data.windows import DEFAULT_WINDOWS
from fl_jax.files import csv_table
from fl_jax.files.text import LONGEST, printable
from fl_jax.report.pictures import data_uri, png, windowed
from fl_jax.report.rendering import render_html

COLUMNS = ("image", "patient", "study", "series", "position", *LABELS)
BRAIN = DEFAULT_WINDOWS[:1]
MAX_SLICES = 600
"""Maximum number on a page, about 10 KB each; series are never cut, and the first is always shown."""
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


def write(path: str | os.PathLike[str], predicted: ScanPredictions) -> None:
    """Writes the CSV atomically, one line a slice."""
    rows = (
        (*names, f"{position:.6g}", *(f"{score:.9g}" for score in scores))
        for *names, position, scores in zip(*predicted[1:], strict=True)
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


def render(
    predicted: ScanPredictions,
    slices: Slices,
    refused: Sequence[Refused],
    repaired: Mapping[str, int],
    model: Mapping[str, Any],
) -> str:
    """Renders the page: a table of series, the slices with their probabilities, the refused files.

    Args:
        predicted: of `collect` for these slices.
        slices: the dataset, for the pictures.
        refused: of `refusals`.
        repaired: number of slices by repair.
        model: facts about it, by name.

    Returns:
        A self-contained page.
    """
    _, first = np.unique(predicted.series, return_index=True)
    starts = np.sort(first)
    ends = np.append(starts[1:], len(predicted.series))
    series = [_series(predicted, np.arange(*bounds)) for bounds in zip(starts, ends, strict=True)]
    shown = 1 + int(np.searchsorted(ends[1:], MAX_SLICES, side="right"))
    for scan in series[:shown]:
        for cell, hu in zip(scan["slices"], slices.hu(predicted.row[scan["rows"]]), strict=True):
            cell["picture"] = data_uri(png(windowed(hu, BRAIN)))
    return render_html(
        "unlabelled_scans.html",
        labels=LABELS,
        series=series,
        shown=shown,
        slices=len(predicted.image),
        patients=len(set(predicted.patient.tolist())),
        refused=refused,
        repaired=repaired,
        window=BRAIN[0],
        model=model,
    )


def _series(predicted: ScanPredictions, rows: NDArray[np.int64]) -> dict[str, Any]:
    scores, position = predicted.scores[rows], predicted.position[rows].astype(float)
    return {
        "name": str(predicted.series[rows[0]]),
        "rows": rows,
        "position": (position[0], position[-1]),
        "highest": [(float(scores[at, n]), int(at) + 1) for n, at in enumerate(scores.argmax(0))],
        "slices": [
            {
                "number": number,
                "image": str(predicted.image[row]),
                "position": float(predicted.position[row]),
                "scores": predicted.scores[row].tolist(),
            }
            for number, row in enumerate(rows, 1)
        ],
    }
