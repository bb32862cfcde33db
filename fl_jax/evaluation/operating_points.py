"""Operating points: thresholds chosen on validation data, and the rates of the resulting calls.

    fixed_0.4           the published study's
    youden              maximises sensitivity + specificity - 1 on validation data
    sensitivity_0.95    the highest threshold with that sensitivity on validation data; so is sensitivity_0.98
    specificity_0.9     the lowest threshold with that specificity on validation data

Recall, precision and specificity are proportions of slices with the intervals of `proportions`. F1 = 2 J / (1
+ J) increases with the proportion J = tp / (tp + fp + fn), so its interval is J's.

Reference: Youden, Cancer 1950; 3:32-35.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import roc
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.proportions import Proportion, proportion

Floats = NDArray[np.float64]
FIXED_THRESHOLD = 0.4
SENSITIVITIES = (0.95, 0.98)
SPECIFICITY = 0.9


class Calls(NamedTuple):
    """One model's calls at one operating point.

    Attributes:
        cells: float64[4, L + 1], counts of tp, fp, fn, tn; the last column sums the labels (micro).
        rates: precision, recall, specificity, f1, each a `Proportion` of float64[L + 1].
    """

    cells: Floats
    rates: dict[str, Proportion]


def youden_thresholds(validation: Predictions) -> Floats:
    """Youden's threshold of each label, float64[L], on `validation`; NaN for a label without both classes."""
    columns = zip(validation.truth.T, validation.scores.T, strict=True)
    return np.array([roc.youden_threshold(truth, scores) for truth, scores in columns])


def sensitivity_threshold(truth: ArrayLike, scores: ArrayLike, sensitivity: float) -> float:
    """The highest observed score that, as a threshold, reaches a sensitivity.

    Args:
        truth: [N] in {0, 1}; validation data, never the test data.
        scores: float64[N].
        sensitivity: in (0, 1].

    Returns:
        A threshold t (positive where score >= t); NaN where a class is absent.
    """
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity={sensitivity}: pass a share in (0, 1], such as 0.95")
    truth, scores = roc.checked(truth, scores)
    if truth.all() or not truth.any():
        return float("nan")
    positives = np.sort(scores[truth])[::-1]
    # 0.95 * 20 is a hair more than 19 in floating point.
    return float(positives[int(np.ceil(sensitivity * positives.size - 1e-9)) - 1])


def specificity_threshold(truth: ArrayLike, scores: ArrayLike, specificity: float) -> float:
    """The lowest observed score that, as a threshold, reaches a specificity.

    Args:
        truth: [N] in {0, 1}; validation data, never the test data.
        scores: float64[N].
        specificity: in [0, 1].

    Returns:
        A threshold t (positive where score >= t); just above the highest score if no observed one reaches
        the specificity; NaN without negatives.
    """
    if not 0 <= specificity <= 1:
        raise ValueError(f"specificity={specificity}: pass a share in [0, 1], such as 0.9")
    truth, scores = roc.checked(truth, scores)
    negatives = np.sort(scores[~truth])
    if not negatives.size:
        return float("nan")
    below = int(np.ceil(specificity * negatives.size - 1e-9))
    if not below:
        return float(scores.min())
    higher = scores[scores > negatives[below - 1]]
    return float(higher.min() if higher.size else np.nextafter(negatives[below - 1], np.inf))


def thresholds(validation: Predictions) -> dict[str, Floats]:
    """The thresholds of every operating point.

    Args:
        validation: images that the model was allowed to see, never the test data.

    Returns:
        float64[L] probabilities by operating point; NaN for a label without both classes, or without
        negatives where only these are needed.
    """
    points = {
        f"fixed_{FIXED_THRESHOLD}": np.full(len(LABELS), FIXED_THRESHOLD),
        "youden": youden_thresholds(validation),
    }
    for sensitivity in SENSITIVITIES:
        columns = zip(validation.truth.T, validation.scores.T, strict=True)
        points[f"sensitivity_{sensitivity}"] = np.array(
            [sensitivity_threshold(truth, scores, sensitivity) for truth, scores in columns]
        )
    columns = zip(validation.truth.T, validation.scores.T, strict=True)
    points[f"specificity_{SPECIFICITY}"] = np.array(
        [specificity_threshold(truth, scores, SPECIFICITY) for truth, scores in columns]
    )
    return points


def calls_at(data: Predictions, threshold: ArrayLike, *, level: float = 0.95) -> Calls:
    """Counts the calls at an operating point and estimates their rates.

    Args:
        data: N images.
        threshold: float64[L], positive where score >= threshold; NaN gives NaN, for micro too.
        level: coverage of the intervals.
    """
    names, patients = np.unique(data.patient, return_inverse=True)
    cells = roc.confusion(data.truth, data.scores, threshold, patients, names.size)
    cells = np.concatenate([cells, cells.sum(axis=1, keepdims=True)], axis=1)
    tp, fp, fn, tn = cells
    rates = {
        "precision": proportion(tp, tp + fp, level),
        "recall": proportion(tp, tp + fn, level),
        "specificity": proportion(tn, tn + fp, level),
        "f1": _f1(proportion(tp, tp + fp + fn, level)),
    }
    return Calls(cells.sum(axis=-1), rates)


def _f1(jaccard: Proportion) -> Proportion:
    return Proportion._make(2 * j / (1 + j) for j in jaccard)
