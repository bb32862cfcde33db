"""Every metric of one model on one data set, bootstrapped jointly so that any two models compare in pairs.

Per label: AUROC, average precision, F1 at 0.4 (as in the published study), and precision, recall, specificity
and F1 at Youden's operating point, chosen on validation data. Over labels:

    macro = mean over the labels that have both classes in the data set
    micro = the metric of all labels' scores pooled (the published study's "all subtypes")

A resample that loses a class of a macro label is undefined, not a mean over fewer labels.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import roc
from fl_jax.evaluation.bootstrap import (
    Resampled,
    bootstrap,
    chunk_for,
    jackknife_weights,
    patient_weights,
)
from fl_jax.evaluation.delong_by_label import POOLED
from fl_jax.evaluation.operating_points import FIXED_THRESHOLD
from fl_jax.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
AT_THRESHOLD = ("precision", "recall", "specificity", "f1")

NAMES = (
    *(f"auroc/{label}" for label in (*LABELS, *POOLED)),
    *(f"average_precision/{label}" for label in (*LABELS, *POOLED)),
    *(f"f1_at_0.4/{label}" for label in (*LABELS, *POOLED)),
    *(f"{name}_at_youden/{label}" for name in AT_THRESHOLD for label in LABELS),
)
"""The metrics of `measure`, `<metric>/<label, macro or micro>`."""
COMPARED = tuple(name for name in NAMES if name.startswith(("auroc/", "average_precision/")))
"""The threshold-free metrics, by which models are compared."""


def measure(
    data: Predictions,
    thresholds: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    seed: int | Sequence[int] = 0,
) -> Resampled:
    """Computes `NAMES` on one data set and on resamples of each site's patients.

    Args:
        data: N images.
        thresholds: float64[L], Youden's operating points (probabilities); where NaN or absent, their metrics
            are NaN.
        resamples: R.
        seed: two models measured with one seed on the same images meet the same resamples.
    """
    names, first, groups = np.unique(data.patient, return_index=True, return_inverse=True)
    weights = patient_weights(names.size, resamples=resamples, seed=seed, strata=data.site[first])
    statistic = _statistic(data, thresholds, groups, names.size)
    return bootstrap(statistic, NAMES, weights, chunk=chunk_for(data.image.size))


def jackknife(data: Predictions, thresholds: ArrayLike | None = None) -> Resampled:
    """Computes `NAMES` with one block of patients left out at a time, for BCa `intervals`; see `measure`."""
    names, groups = np.unique(data.patient, return_inverse=True)
    statistic = _statistic(data, thresholds, groups, names.size)
    weights = jackknife_weights(names.size)
    return bootstrap(statistic, NAMES, weights, chunk=chunk_for(data.image.size))


def _statistic(
    data: Predictions, thresholds: ArrayLike | None, groups: NDArray, count: int
) -> Callable[[Floats], Floats]:
    """The metrics `NAMES` as a function of the weights of `count` patients."""
    labels = len(LABELS)
    rankings = [
        roc.rank(data.truth[:, label], data.scores[:, label], groups, count)
        for label in range(labels)
    ]
    pooled = roc.rank(data.truth.ravel(), data.scores.ravel(), np.repeat(groups, labels), count)
    youden = np.full(labels, np.nan) if thresholds is None else np.asarray(thresholds)
    fixed = np.full(labels, FIXED_THRESHOLD)
    at_fixed = roc.confusion(data.truth, data.scores, fixed, groups, count)
    at_youden = roc.confusion(data.truth, data.scores, youden, groups, count)
    positives = data.truth.any(axis=0)
    both = positives & ~data.truth.all(axis=0)

    def statistic(weights: Floats) -> Floats:
        each = np.array([roc.areas(ranking, weights) for ranking in rankings])
        micro = roc.areas(pooled, weights)
        cells = at_fixed @ weights
        f1 = roc.operating_point(cells)["f1"]
        rates = roc.operating_point(at_youden @ weights)
        rows = [
            *(each[:, 0], _mean(each[both, 0]), micro[0]),
            *(each[:, 1], _mean(each[both, 1]), micro[1]),
            *(f1, _mean(f1[positives]), roc.operating_point(cells.sum(axis=1))["f1"]),
            *(rates[name] for name in AT_THRESHOLD),
        ]
        return np.concatenate([np.atleast_2d(row) for row in rows])

    return statistic


def undefined(resamples: int) -> Resampled:
    """`NAMES`, all NaN in each of R resamples: a model without predictions for these patients."""
    return Resampled(NAMES, np.full(len(NAMES), np.nan), np.full((len(NAMES), resamples), np.nan))


def _mean(values: Floats) -> Floats:
    """Mean over the rows; NaN without rows."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1:], np.nan)
