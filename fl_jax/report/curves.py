"""ROC and precision-recall curves for drawing, with bands over resamples of patients.

A band is pointwise: the percentiles of sensitivity at each false positive rate, or of precision at each
recall, over resamples of patients with all their slices. It is no band for the curve as a whole.

Reference: Fawcett, Pattern Recognit Lett 2006; 27:861-874 (vertical averaging of ROC curves).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import roc
from fl_jax.evaluation.bootstrap import patient_weights
from fl_jax.evaluation.predictions import Predictions

Floats = NDArray[np.float64]

POINTS = 300
"""A drawn curve has at most this many."""
GRID = np.linspace(0, 1, 101)
"""Where a band is known."""
RESAMPLES = 200
"""Of a band, at most: its edges are read off a picture."""


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
        models: predictions on the primary data, by model.
        names: the models whose curves are wanted; those without predictions are left out.
        resamples: R >= 1 of patients; a band takes the first `RESAMPLES` at most.
        seed: of the resampling; models meet the same resamples.
        level: coverage of the bands.

    Returns:
        "roc" and "precision_recall", each by [model][label or micro]: "x" and "y" (false positive rate and
        sensitivity; recall and precision), and the band's "low" and "high" at `GRID`. Empty where a class is
        absent.
    """
    found: dict[str, Any] = {"roc": {}, "precision_recall": {}}
    for name in names:
        if name not in models:
            continue
        data = models[name]
        _, patients = np.unique(data.patient, return_inverse=True)
        count = int(patients.max(initial=-1)) + 1
        weights = patient_weights(count, resamples=min(resamples, RESAMPLES), seed=seed)
        columns = {
            label: (data.truth[:, i], data.scores[:, i], patients) for i, label in enumerate(LABELS)
        }
        each = np.repeat(patients, len(LABELS))
        columns["micro"] = data.truth.ravel(), data.scores.ravel(), each
        for label, (truth, scores, groups) in columns.items():
            bands = band(truth, scores, groups, weights, level=level)
            made = roc.roc_curve(truth, scores), roc.precision_recall_curve(truth, scores)
            for kind, curve, (low, high) in zip(found, made, bands, strict=True):
                drawn = _thinned(curve) | {"low": low, "high": high}
                found[kind].setdefault(name, {})[label] = drawn
    return found


def band(
    truth: NDArray, scores: Floats, groups: NDArray[np.intp], weights: Floats, *, level: float
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Pointwise bands of the ROC and the precision-recall curve.

    Args:
        truth: [N] in {0, 1}.
        scores: float64[N].
        groups: int[N] in [0, G), whose slice it is.
        weights: float64[G, R], how often each patient is in each resample.
        level: coverage, in (0, 1).

    Returns:
        (low, high) of sensitivity at each false positive rate of `GRID`, and of precision at each recall of
        it; float64[101] each, empty where a class is absent. Resamples without a class are left out.
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
        drawn = weight[groups]
        hits = np.concatenate([[0], np.cumsum(drawn * positive)[last]])
        false = np.concatenate([[0], np.cumsum(drawn * ~positive)[last]])
        if hits[-1] == 0 or false[-1] == 0:
            continue
        recall, rate = hits / hits[-1], false / false[-1]
        rows[0].append(np.interp(GRID, rate, recall))
        # Precision where a recall is first reached: no line between points is attainable (Davis 2006).
        at = np.maximum(np.searchsorted(recall, GRID - 1e-12), 1)
        called = np.maximum(hits[at] + false[at], 1e-12)
        rows[1].append(hits[at] / called)
    tail = (1 - level) / 2
    low_high = [
        np.quantile(np.stack(found), [tail, 1 - tail], axis=0) if found else np.empty((2, 0))
        for found in rows
    ]
    return (low_high[0][0], low_high[0][1]), (low_high[1][0], low_high[1][1])


def _thinned(curve: roc.Curve) -> dict[str, Any]:
    """At most POINTS points, evenly spread along the curve's length; the ends stay."""
    if curve.x.size <= POINTS:
        return {"x": curve.x, "y": curve.y}
    length = np.cumsum(np.hypot(np.diff(curve.x, prepend=0), np.diff(curve.y, prepend=0)))
    at = np.unique(np.searchsorted(length, np.linspace(0, length[-1], POINTS)))
    at = np.unique(np.concatenate([[0], np.minimum(at, curve.x.size - 1), [curve.x.size - 1]]))
    return {"x": curve.x[at], "y": curve.y[at]}
