"""What a model says about scans without labels, as a CSV and as a page of slices in order of position.

    image,patient,study,series,position,any,epidural,...     probabilities in [0, 1], position in mm

Patients, studies and series are numbered (`P1`, `P1.1`, `P1.1.2`) in the order of their images' names:
neither file holds an identifier from a header. An image is the file's path in the source, by which
whoever has the source finds it again.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.data.dicom import Reason
from fl_jax.data.index import REMEDY, check_built
from fl_jax.data.site_names import SITE_NAME
from fl_jax.data.slices import Slices
from fl_jax.data.windows import DEFAULT_WINDOWS
from fl_jax.files import csv_table
from fl_jax.files.atomic import atomic_open
from fl_jax.files.text import LONGEST, printable
from fl_jax.report import cases, documents, page

COLUMNS = ("image", "patient", "study", "series", "position", *LABELS)
BRAIN = DEFAULT_WINDOWS[:1]
SHOWN = 600
"""Slices on a page, some 10 KB each, in whole series; at least one series is shown."""
NAMED = 200
"""Refused files of one reason that a page names."""


class Inference(NamedTuple):
    """A model's probabilities for N slices, in the order of series and position.

    Attributes:
        row: int[N], the slice's row in the dataset.
        image: str[N], unique.
        patient: str[N], a number.
        study: str[N], a number within the patient.
        series: str[N], a number within the study.
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
    """The files that were refused for one reason."""

    reason: str
    number: int
    files: Sequence[tuple[str, str]]


def collect(slices: Slices, scores: NDArray[np.float64]) -> Inference:
    """Numbers patients, studies and series, and puts slices in order.

    Args:
        slices: the dataset of N slices.
        scores: float64[N, L], probabilities in [0, 1], in the dataset's order.

    Returns:
        The slices by patient, study, series, position and image.

    Raises:
        ValueError: scores of another shape.
    """
    if scores.shape != slices.labels.shape:
        raise ValueError(f"scores has shape {scores.shape}, the dataset {slices.labels.shape}")
    numbers: dict[tuple[str, ...], tuple[int, ...]] = {}
    below: dict[tuple[int, ...], int] = {}

    def number(path: tuple[str, ...]) -> tuple[int, ...]:
        if not path:
            return ()
        if path not in numbers:
            parent = number(path[:-1])
            below[parent] = below.get(parent, 0) + 1
            numbers[path] = (*parent, below[parent])
        return numbers[path]

    headers = zip(
        slices.patient.tolist(), slices.study.tolist(), slices.series.tolist(), strict=True
    )
    places = np.empty((len(slices), 3), int)
    named = dict(enumerate(headers))
    for row in np.argsort(slices.image, kind="stable").tolist():
        places[row] = number(named[row])
    order = np.lexsort((slices.image, slices.position, *places.T[::-1]))
    text = places[order].astype(str)
    return Inference(
        row=order,
        image=slices.image[order],
        patient=np.array([f"P{p}" for p, _, _ in text]),
        study=np.array([f"P{p}.{s}" for p, s, _ in text]),
        series=np.array([f"P{p}.{s}.{e}" for p, s, e in text]),
        position=slices.position[order],
        scores=scores[order],
    )


def write(path: str | os.PathLike[str], found: Inference) -> None:
    """Writes the CSV, one line a slice, whole or not at all."""
    with atomic_open(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for image, patient, study, series, position, scores in zip(*found[1:], strict=True):
            probabilities = (f"{score:.9g}" for score in scores)
            writer.writerow((image, patient, study, series, f"{position:.6g}", *probabilities))


def refusals(path: str | os.PathLike[str], source: str | os.PathLike[str] = "") -> list[Refused]:
    """The files of a dataset's `refused.csv` by reason, the commonest first.

    Args:
        path: `refused.csv`.
        source: the folder that the files' names are given from; as they stand without it.

    Returns:
        For each reason its number of files, and the first `NAMED` of them as (name, detail).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: with file, line, value and remedy: it is not what a build writes.
    """
    header, reasons = ("site", "path", "reason", "detail"), {*Reason}
    read = csv_table.read(path, header, header=header, remedy=REMEDY)
    csv_table.check(path, read, "site", SITE_NAME.fullmatch, f"it must be a site; {REMEDY}")
    csv_table.check(path, read, "path", bool, f"it must be a file; {REMEDY}")
    csv_table.check(path, read, "reason", reasons.__contains__, f"it must be a reason; {REMEDY}")
    check_built(Path(path).parent, "refused.csv")
    found: dict[str, list[tuple[str, str]]] = {}
    for file, reason, detail in zip(read["path"], read["reason"], read["detail"], strict=True):
        name = os.path.relpath(file, source) if source else file
        found.setdefault(reason, []).append((printable(name, LONGEST), printable(detail)))
    return [
        Refused(reason, len(files), files[:NAMED])
        for reason, files in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def render(
    found: Inference, slices: Slices, refused: Sequence[Refused], model: Mapping[str, Any]
) -> str:
    """Draws the page: a table of series, each slice with its probabilities, what was refused.

    Args:
        found: what `collect` made of `slices`.
        slices: the dataset, whose pixels are read for the slices that are shown.
        refused: what was refused.
        model: what is to be said of the model, name to value.

    Returns:
        The page: self-contained, and forbidden the network.
    """
    names, first = np.unique(found.series, return_index=True)
    order = np.argsort(first)
    ends = np.append(first[order], len(found.series))
    series = [
        _series(str(name), found, np.arange(start, end))
        for name, start, end in zip(names[order], ends, ends[1:], strict=False)
    ]
    shown = 1 + max(0, int(np.searchsorted(ends[2:], SHOWN, side="right")))
    for one in series[:shown]:
        hu = slices.hu(found.row[one["rows"]])
        pictures = [page.data_uri(cases.png(cases.windowed(each, BRAIN))) for each in hu]
        for cell, picture in zip(one["slices"], pictures, strict=True):
            cell["picture"] = picture
    return documents.render(
        "inference.html",
        labels=LABELS,
        series=series,
        shown=shown,
        slices=len(found.image),
        patients=len(set(found.patient.tolist())),
        refused=refused,
        window=BRAIN[0],
        model=model,
    )


def _series(name: str, found: Inference, rows: NDArray[np.int64]) -> dict[str, Any]:
    scores = found.scores[rows]
    highest = scores.argmax(0)
    return {
        "name": name,
        "rows": rows,
        "position": (float(found.position[rows[0]]), float(found.position[rows[-1]])),
        "highest": [(float(scores[at, n]), int(at) + 1) for n, at in enumerate(highest)],
        "slices": [
            {
                "number": number,
                "image": str(found.image[row]),
                "position": float(found.position[row]),
                "scores": found.scores[row].tolist(),
            }
            for number, row in enumerate(rows, 1)
        ],
    }
