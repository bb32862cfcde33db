"""What a model does once a threshold turns its probabilities into calls; chosen on validation data alone.

    fixed_0.4           the study's
    youden              max of sensitivity + specificity - 1 on validation data
    sensitivity_0.95    the highest threshold with that sensitivity on validation data; so sensitivity_0.98

Recall, precision and specificity are proportions of slices. F1 = 2 J / (1 + J) rises with the proportion
J = tp / (tp + fp + fn), so its interval is J's.

References: Youden, Cancer 1950; 3:32-35; the intervals are those of `proportions`.
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
"""The study reports F1 where the probability is at least this."""
SENSITIVITIES = (0.95, 0.98)


class Judged(NamedTuple):
    """Calls of one model at one operating point.

    Attributes:
        cells: float64[4, L + 1], slices that are tp, fp, fn, tn; the last column sums the labels (micro).
        rates: precision, recall, specificity, f1, each a `Proportion` of float64[L + 1].
    """

    cells: Floats
    rates: dict[str, Proportion]


def youden_thresholds(validation: Predictions) -> Floats:
    """Each label's operating point on validation data.

    Args:
        validation: of N images; the data that this model was allowed to see.

    Returns:
        float64[L], probabilities; NaN for a label without both classes.
    """
    columns = zip(validation.truth.T, validation.scores.T, strict=True)
    return np.array([roc.youden_threshold(truth, scores) for truth, scores in columns])


def sensitivity_threshold(truth: ArrayLike, scores: ArrayLike, sensitivity: float) -> float:
    """The highest observed score that, as a threshold, finds a share of the positives.

    Args:
        truth: [N] in {0, 1}; validation data, never the data that the operating point is judged on.
        scores: float64[N].
        sensitivity: in (0, 1].

    Returns:
        A threshold t (positive where score >= t); NaN where a class is absent.

    Raises:
        ValueError: sensitivity is outside (0, 1]; as `roc.rank`.
    """
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity={sensitivity}: pass a share in (0, 1], such as 0.95")
    truth, scores = roc.checked(truth, scores)
    if truth.all() or not truth.any():
        return float("nan")
    positives = np.sort(scores[truth])[::-1]
    # 0.95 * 20 is a hair more than 19 in floating point.
    return float(positives[int(np.ceil(sensitivity * positives.size - 1e-9)) - 1])


def thresholds(validation: Predictions) -> dict[str, Floats]:
    """Every operating point of a model.

    Args:
        validation: of N images; the data that this model was allowed to see.

    Returns:
        float64[L] probabilities by operating point; NaN for a label without both classes.
    """
    found = {
        f"fixed_{FIXED_THRESHOLD}": np.full(len(LABELS), FIXED_THRESHOLD),
        "youden": youden_thresholds(validation),
    }
    for share in SENSITIVITIES:
        columns = zip(validation.truth.T, validation.scores.T, strict=True)
        found[f"sensitivity_{share}"] = np.array(
            [sensitivity_threshold(truth, scores, share) for truth, scores in columns]
        )
    return found


def judge(data: Predictions, chosen: ArrayLike, *, level: float = 0.95) -> Judged:
    """Counts calls and gives their rates with intervals.

    Args:
        data: N images.
        chosen: float64[L], positive where the score is at least this; NaN gives NaN.
        level: coverage of the intervals.

    Returns:
        The `Judged`; micro is NaN where a label has no threshold.
    """
    names, patients = np.unique(data.patient, return_inverse=True)
    cells = roc.confusion(data.truth, data.scores, chosen, patients, names.size)
    cells = np.concatenate([cells, cells.sum(axis=1, keepdims=True)], axis=1)
    tp, fp, fn, tn = cells
    rates = {
        "precision": proportion(tp, tp + fp, level),
        "recall": proportion(tp, tp + fn, level),
        "specificity": proportion(tn, tn + fp, level),
        "f1": _f1(proportion(tp, tp + fp + fn, level)),
    }
    return Judged(cells.sum(axis=-1), rates)


def _f1(jaccard: Proportion) -> Proportion:
    return Proportion._make(2 * j / (1 + j) for j in jaccard)
