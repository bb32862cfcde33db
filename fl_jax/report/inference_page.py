"""The page of scans without labels: verdicts on patients, differences from the training data, slices.

Called patients come first. Slices are shown from the DICOM files at full resolution, the patient's right at
the left, from the feet up. A page has at most `MAX_PICTURES` pictures and about `MAX_BYTES` of them; it says
what it leaves out.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import ANY, LABELS
from fl_jax.data.domain import Domain
from fl_jax.data.slices import Slices
from fl_jax.evaluation.call_rule import Rule
from fl_jax.report import call_words, domain_words, slice_pictures, verdicts
from fl_jax.report.pictures import data_uri
from fl_jax.report.rendering import render_html
from fl_jax.report.slice_pictures import Picture
from fl_jax.report.unlabelled_scans import Refused, ScanPredictions

MAX_PICTURES, MAX_BYTES = 400, 24 * 2**20
SCALE = 50.0
"""Length of the bar in a picture, mm."""


class Scans(NamedTuple):
    """What was read.

    Attributes:
        slices: the dataset.
        source: folder of the DICOM files; None if there is only the dataset.
        refused: of `unlabelled_scans.refusals`.
        repaired: number of slices by repair.
    """

    slices: Slices
    source: Path | None
    refused: Sequence[Refused]
    repaired: Mapping[str, int]


class Comparison(NamedTuple):
    """The scans' studies beside the training data.

    Attributes:
        studies: measured, by name, such as "P1.1".
        ranges: of the training scans; None if these are not known.
        basis: what the ranges rest on, or why there are none, in words.
    """

    studies: Mapping[str, Domain]
    ranges: domain_words.Ranges | None
    basis: str


def render(
    predicted: ScanPredictions,
    scans: Scans,
    rule: Rule,
    comparison: Comparison,
    model: Mapping[str, Any],
) -> str:
    """Renders the page.

    Args:
        predicted: of `unlabelled_scans.collect` for these scans.
        scans: what was read.
        rule: how slices and patients are called.
        comparison: of the scans with the training data.
        model: facts about it, by name.

    Returns:
        A self-contained page.
    """
    judged = verdicts.judge(predicted, rule)
    called = rule.calls_slices(predicted.scores)
    numbers = _numbers(predicted)
    pictures = _Pictures(predicted, scans)
    patients = []
    for verdict, rows in zip(judged, verdicts.shown(judged, predicted), strict=True):
        shown = [row for row in rows.tolist() if pictures.take(row)]
        patients.append(
            {
                "name": verdict.patient,
                "verdict": verdict,
                "sentence": verdicts.sentence(verdict, predicted),
                "probability": float(verdict.scores[ANY]),
                "warnings": _warnings(verdict, predicted, comparison),
                "series": _series(verdict, predicted, numbers, called, shown, rule),
                "slices": [_slice(row, predicted, numbers, called, pictures) for row in shown],
                "omitted": verdict.rows.size - len(shown),
            }
        )
    return render_html(
        "unlabelled_scans.html",
        labels=LABELS,
        patients=patients,
        headline=headline(judged),
        differences=differences(comparison),
        slice_rule=call_words.slice_rule(rule),
        patient_rule=call_words.patient_rule(rule),
        subtype_rule=call_words.subtype_rule(rule),
        studies=_studies(comparison),
        basis=comparison.basis,
        numbers=domain_words.NUMBERS,
        ranges=comparison.ranges,
        range_text=domain_words.range_text,
        slices=len(predicted.image),
        full=all(picture.full for picture in pictures.taken.values()),
        input_size=max(scans.slices.image_shape),
        refused=scans.refused,
        repaired=scans.repaired,
        window=slice_pictures.BRAIN[0],
        model=model,
    )


def headline(judged: Sequence[verdicts.Verdict]) -> str:
    """How many patients are called, and which."""
    called = [verdict.patient for verdict in judged if verdict.called]
    if len(judged) == 1:
        return f"Patient {judged[0].patient} is {'called' if called else 'not called'}."
    if not called:
        return f"None of {len(judged)} patients is called."
    names = ", ".join(called[:20]) + (", ..." if len(called) > 20 else "")
    verb = "is" if len(called) == 1 else "are"
    return f"{len(called)} of {len(judged)} patients {verb} called: {names}."


def differences(comparison: Comparison) -> str:
    """How many studies differ from the training scans, and in what; or that this is not known."""
    if comparison.ranges is None:
        return f"The scans could not be compared with the training scans: {comparison.basis}."
    outside: dict[str, int] = {}
    warned = 0
    for domain in comparison.studies.values():
        cells = domain_words.cells(domain, comparison.ranges)
        names = [
            number.name
            for number, cell in zip(domain_words.NUMBERS.values(), cells, strict=True)
            if cell["outside"]
        ]
        warned += bool(names)
        for name in names:
            outside[name] = outside.get(name, 0) + 1
    total = len(comparison.studies)
    if not warned:
        return "All studies lie within the training scans' ranges."
    if total == 1:
        who, what = "The study lies", ", ".join(outside)
    else:
        who = f"{warned} of {total} studies lie{'s' if warned == 1 else ''}"
        parts = sorted(outside.items(), key=lambda item: -item[1])
        what = ", ".join(f"{name} ({count})" for name, count in parts)
    return (
        f"{who} outside the training scans' range: {what}. Probabilities are less reliable there."
    )


class _Pictures:
    """The pictures of a page, within its bounds."""

    def __init__(self, predicted: ScanPredictions, scans: Scans) -> None:
        self._predicted, self._scans = predicted, scans
        self._bytes = 0
        self.taken: dict[int, Picture] = {}

    def take(self, row: int) -> bool:
        """Reads the picture of a slice; False if the page is full."""
        if len(self.taken) >= MAX_PICTURES or self._bytes > MAX_BYTES:
            return False
        picture, scans = None, self._scans
        if scans.source is not None:
            picture = slice_pictures.from_file(scans.source / str(self._predicted.image[row]))
        if picture is None:
            picture = slice_pictures.from_dataset(scans.slices.hu(self._predicted.row[row]))
        self.taken[row] = picture
        self._bytes += len(picture.jpeg)
        return True


def _numbers(predicted: ScanPredictions) -> NDArray[np.intp]:
    """Each slice's number in its series, from 1."""
    _, first, series = np.unique(predicted.series, return_index=True, return_inverse=True)
    return np.arange(predicted.series.size) - first[series] + 1


def _warnings(
    verdict: verdicts.Verdict, predicted: ScanPredictions, comparison: Comparison
) -> list[str]:
    if comparison.ranges is None:
        return []
    studies = list(dict.fromkeys(predicted.study[verdict.rows].tolist()))
    texts = []
    for study in studies:
        of_study = f"{study}: " if len(studies) > 1 else ""
        found = domain_words.warnings(comparison.studies[study], comparison.ranges)
        texts += [f"{of_study}{text}" for text in found]
    return texts


def _series(
    verdict: verdicts.Verdict,
    predicted: ScanPredictions,
    numbers: NDArray[np.intp],
    called: NDArray[np.bool_],
    shown: Sequence[int],
    rule: Rule,
) -> list[dict[str, Any]]:
    """The strips of probabilities by slice."""
    strips = []
    for series in dict.fromkeys(predicted.series[verdict.rows].tolist()):
        rows = verdict.rows[predicted.series[verdict.rows] == series]
        bars = [
            {
                "number": int(numbers[row]),
                "score": float(predicted.scores[row, ANY]),
                "called": bool(called[row, ANY]),
                "shown": row in shown,
                "name": f"{series}-{numbers[row]}",
            }
            for row in rows.tolist()
        ]
        low, high = predicted.position[rows[[0, -1]]].astype(float)
        strips.append(
            {
                **{"name": series, "bars": bars, "position": (low, high)},
                "threshold": rule.slices[ANY].value,
            }
        )
    return strips


def _slice(
    row: int,
    predicted: ScanPredictions,
    numbers: NDArray[np.intp],
    called: NDArray[np.bool_],
    pictures: _Pictures,
) -> dict[str, Any]:
    picture = pictures.taken[row]
    series = str(predicted.series[row])
    return {
        "name": f"{series}-{numbers[row]}",
        "series": series,
        "number": int(numbers[row]),
        "of": int((predicted.series == series).sum()),
        "image": str(predicted.image[row]),
        "position": float(predicted.position[row]),
        "scores": predicted.scores[row].tolist(),
        "called": called[row].tolist(),
        "picture": data_uri(picture.jpeg, "jpeg"),
        "pixels": picture.pixels,
        "scale": None if math.isnan(picture.field) else 100 * SCALE / picture.field,
    }


def _studies(comparison: Comparison) -> list[dict[str, Any]]:
    ranges = comparison.ranges or {}
    return [
        {"name": name, "cells": domain_words.cells(domain, ranges)}
        for name, domain in comparison.studies.items()
    ]
