"""The verdict on each patient of scans without labels, worst first, and the slices that a page shows.

| patient | verdict | slices shown |
|---|---|---|
| called | the subtypes named, the called slices | called slices and their neighbours, up to `EACH` |
| not called | slices that are called all the same | these, up to `FEW`, or the highest and its neighbours |
| any, if all slices are `EVERY` or fewer | as above | every slice |

Where a patient has more called slices than are shown, those of the highest probability of any hemorrhage are.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import ANY, LABELS
from fl_jax.evaluation.call_rule import Rule
from fl_jax.files import csv_table
from fl_jax.report.formatting import fixed
from fl_jax.report.unlabelled_scans import ScanPredictions

COLUMNS = ("patient", "called", "slices", "called_slices", "subtypes", *LABELS)
"""Of the table of patients; probabilities in [0, 1]."""
EVERY, EACH, FEW = 120, 24, 4


class Verdict(NamedTuple):
    """The verdict on one patient.

    Attributes:
        patient: such as "P1".
        called: whether the patient is called for hemorrhage.
        scores: float64[L], probabilities that some slice has the label.
        subtypes: those named, the most probable first; empty unless called.
        rows: int[n], the patient's slices among the predictions, in their order.
        slices: bool[n], which of these are called for hemorrhage.
    """

    patient: str
    called: bool
    scores: NDArray[np.float64]
    subtypes: list[str]
    rows: NDArray[np.intp]
    slices: NDArray[np.bool_]


def judge(predicted: ScanPredictions, rule: Rule) -> list[Verdict]:
    """Judges every patient.

    Returns:
        Called patients first, each group by falling probability of any hemorrhage.
    """
    of_slices = rule.calls_slices(predicted.scores)
    names, patient = np.unique(predicted.patient, return_inverse=True)
    scores = rule.patient_scores(predicted.scores, predicted.patient)
    some = np.zeros(scores.shape, bool)
    np.logical_or.at(some, patient, of_slices)
    calls = rule.calls_patients(scores, some)
    found = []
    for number, name in enumerate(names.tolist()):
        rows = np.flatnonzero(patient == number)
        called = bool(calls[number, ANY])
        order = np.argsort(-scores[number], kind="stable")
        named = [
            LABELS[at]
            for at in order
            if at != ANY and called and calls[number, at] and rule.patients[at].chosen
        ]
        of_patient = of_slices[rows, ANY]
        found.append(Verdict(name, called, scores[number], named, rows, of_patient))
    return sorted(found, key=lambda one: (not one.called, -one.scores[ANY], one.rows[0]))


def write(path: str | os.PathLike[str], verdicts: Sequence[Verdict]) -> None:
    """Writes the CSV of patients atomically, worst first."""
    rows = (
        (
            *(verdict.patient, int(verdict.called), verdict.rows.size, int(verdict.slices.sum())),
            " ".join(verdict.subtypes),
            *(f"{score:.9g}" for score in verdict.scores),
        )
        for verdict in verdicts
    )
    csv_table.write(path, COLUMNS, rows)


def sentence(verdict: Verdict, predicted: ScanPredictions) -> str:
    """The verdict in words."""
    number = int(verdict.slices.sum())
    slices = f"{number} of {verdict.rows.size} slices " + ("is" if number == 1 else "are")
    where = f", {places(verdict, predicted)}" if number else ""
    probability = f"probability of any hemorrhage {fixed(verdict.scores[ANY])}"
    if not verdict.called:
        but = f", although {slices} called{where}" if number else "; no slice is"
        return f"{verdict.patient} is not called{but}; {probability}."
    named = [
        f"{label} ({fixed(verdict.scores[LABELS.index(label)])})" for label in verdict.subtypes
    ]
    if named:
        kind = f"Subtypes: {', '.join(named)}."
    else:
        likely = 1 + int(np.argmax(verdict.scores[1:]))
        kind = (
            f"No subtype is named; the most probable is {LABELS[likely]} "
            f"({fixed(verdict.scores[likely])})."
        )
    return f"{verdict.patient} is called; {probability}. {slices} called{where}. {kind}"


def places(verdict: Verdict, predicted: ScanPredictions) -> str:
    """The called slices by series: "12–19 and 22 of P2.1.1 (−20 to 45 mm)"."""
    texts = []
    for series in dict.fromkeys(predicted.series[verdict.rows].tolist()):
        of_series = verdict.rows[predicted.series[verdict.rows] == series]
        at = np.flatnonzero(np.isin(of_series, verdict.rows[verdict.slices]))
        if at.size:
            low, high = predicted.position[of_series[at[[0, -1]]]]
            mm = f"{low:.0f}" if at.size == 1 else f"{low:.0f} to {high:.0f}"
            texts.append(f"{_runs(at + 1)} of {series} ({mm.replace('-', '−')} mm)")
    return "; ".join(texts)


def _runs(numbers: NDArray[np.intp]) -> str:
    """Ascending numbers as "3, 5–8"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(str(run[0]) if run.size == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def shown(verdicts: Sequence[Verdict], predicted: ScanPredictions) -> list[NDArray[np.intp]]:
    """The rows of the slices to show of each patient, ascending; see the module's table."""
    if predicted.image.size <= EVERY:
        return [verdict.rows for verdict in verdicts]
    return [_shown(verdict, predicted) for verdict in verdicts]


def _shown(verdict: Verdict, predicted: ScanPredictions) -> NDArray[np.intp]:
    by_score = verdict.rows[np.argsort(-predicted.scores[verdict.rows, ANY], kind="stable")]
    called = set(verdict.rows[verdict.slices].tolist())
    wanted = [row for row in by_score.tolist() if row in called]
    limit = EACH if verdict.called else FEW
    if not wanted:
        wanted, limit = by_score[:1].tolist(), 3
    kept: dict[int, None] = {}
    for row in wanted[:limit]:
        kept[row] = None
    for row in wanted:
        for other in (row - 1, row + 1):
            same = 0 <= other < predicted.series.size
            if same and predicted.series[other] == predicted.series[row]:
                kept.setdefault(other)
    return np.array(sorted([*kept][:limit]))
