"""ROC and precision-recall curves for plotting, with bootstrap bands over patients.

Bands are pointwise, not simultaneous: percentiles of sensitivity at each false positive rate, or of precision
at each recall, over resamples of patients with all their slices.

Reference: Fawcett, Pattern Recognit Lett 2006; 27:861-874 (vertical averaging of ROC curves).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.evaluation import roc
from fl_jax.evaluation.bootstrap import patient_weights
from fl_jax.evaluation.predictions import Predictions
from fl_jax.report.label_columns import label_columns

Floats = NDArray[np.float64]

POINTS = 300
"""Maximum number of points of a plotted curve."""
GRID = np.linspace(0, 1, 101)
"""False positive rates, or recalls, at which bands are computed."""
RESAMPLES = 200
"""Maximum number for a band; more make no visible difference."""


def sections(
    models: Mapping[str, Predictions],
    names: Sequence[str],
    *,
    resamples: int,
    seed: int,
    level: float,
) -> dict[str, Any]:
    """The parts of `results.json` about curves.

    Args:
        models: predictions on the primary data set, by model.
        names: models to plot; those without predictions are skipped.
        resamples: R >= 1 resamples of patients; bands use at most `RESAMPLES`.
        seed: of the resampling, which all models share.
        level: coverage of the bands.

    Returns:
        "roc" and "precision_recall", each by [model][label or micro]: "x" and "y" (false positive rate and
        sensitivity; recall and precision), and the band's "low" and "high" on `GRID`. Empty where a class is
        absent.
    """
    curves: dict[str, Any] = {"roc": {}, "precision_recall": {}}
    for name in names:
        if name not in models:
            continue
        columns = label_columns(models[name])
        count = int(columns["micro"].patients.max(initial=-1)) + 1
        weights = patient_weights(count, resamples=min(resamples, RESAMPLES), seed=seed)
        for label, column in columns.items():
            bands = band(*column, weights, level=level)
            exact = (
                roc.roc_curve(column.truth, column.scores),
                roc.precision_recall_curve(column.truth, column.scores),
            )
            for kind, curve, (low, high) in zip(curves, exact, bands, strict=True):
                points = _thinned(curve) | {"low": low, "high": high}
                curves[kind].setdefault(name, {})[label] = points
    return curves


def band(
    truth: NDArray, scores: Floats, groups: NDArray[np.intp], weights: Floats, *, level: float
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Pointwise bands of the ROC and the precision-recall curve.

    Args:
        truth: [N] in {0, 1}.
        scores: float64[N].
        groups: int[N] in [0, G), each slice's patient.
        weights: float64[G, R], multiplicity of each patient in each resample.
        level: coverage, in (0, 1).

    Returns:
        (low, high) of sensitivity at each false positive rate on `GRID`, and of precision at each recall on
        it; float64[101] each, empty where a class is absent. Resamples that lack a class are skipped.
    """
    positive = np.asarray(truth).astype(bool)
    if positive.all() or not positive.any():
        none = np.empty(0), np.empty(0)
        return none, none
    order = np.argsort(-np.asarray(scores), kind="stable")
    positive, groups, sorted_scores = positive[order], groups[order], np.asarray(scores)[order]
    last = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))  # ties move together
    rows: list[list[Floats]] = [[], []]
    for weight in weights.T:
        copies = weight[groups]
        hits = np.concatenate([[0], np.cumsum(copies * positive)[last]])
        false = np.concatenate([[0], np.cumsum(copies * ~positive)[last]])
        if hits[-1] == 0 or false[-1] == 0:
            continue
        recall, rate = hits / hits[-1], false / false[-1]
        rows[0].append(np.interp(GRID, rate, recall))
        # Precision at the first threshold that reaches the recall: linear interpolation is not attainable
        # (Davis and Goadrich, 2006).
        at = np.maximum(np.searchsorted(recall, GRID - 1e-12), 1)
        called = np.maximum(hits[at] + false[at], 1e-12)
        rows[1].append(hits[at] / called)
    tail = (1 - level) / 2
    low_high = [
        np.quantile(np.stack(row), [tail, 1 - tail], axis=0) if row else np.empty((2, 0))
        for row in rows
    ]
    return (low_high[0][0], low_high[0][1]), (low_high[1][0], low_high[1][1])


def _thinned(curve: roc.Curve) -> dict[str, Any]:
    """Keeps at most POINTS points, evenly spaced along the curve, and both ends."""
    if curve.x.size <= POINTS:
        return {"x": curve.x, "y": curve.y}
    length = np.cumsum(np.hypot(np.diff(curve.x, prepend=0), np.diff(curve.y, prepend=0)))
    at = np.unique(np.searchsorted(length, np.linspace(0, length[-1], POINTS)))
    at = np.unique(np.concatenate([[0], np.minimum(at, curve.x.size - 1), [curve.x.size - 1]]))
    return {"x": curve.x[at], "y": curve.y[at]}
