"""All statistics of one model on one data set, resampled together, so that any two models compare in pairs.

For each label: AUROC, average precision, F1 at 0.4 (the study's), and precision, recall, specificity and
F1 at an operating point that was chosen on validation data. Over labels:

    macro = mean over the labels that have both classes in the data set
    micro = one area over all labels' scores pooled (the study's "all subtypes")

A resample in which one of macro's labels loses a class is undefined, rather than a mean over other labels.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import roc
from fl_jax.evaluation.bootstrap import Resampled, bootstrap, jackknife_weights, patient_weights
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
"""The statistics of `measure`, `<statistic>/<label, macro or micro>`."""
COMPARED = tuple(name for name in NAMES if name.startswith(("auroc/", "average_precision/")))
"""Those that no threshold moves, by which models are compared."""


def measure(
    data: Predictions,
    thresholds: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    seed: int | Sequence[int] = 0,
    stratified: bool = True,
) -> Resampled:
    """Every statistic of `NAMES` on one data set and in resamples of its patients.

    Two models measured with one seed on the same images meet the same resamples.

    Args:
        data: N images.
        thresholds: float64[L], the operating point (probability); NaN or absent: those statistics are NaN.
        resamples: R.
        seed: of the resampling.
        stratified: each site keeps its number of patients.

    Returns:
        `Resampled` with the names `NAMES`.
    """
    names, first, groups = np.unique(data.patient, return_index=True, return_inverse=True)
    strata = data.site[first] if stratified else None
    weights = patient_weights(names.size, resamples=resamples, seed=seed, strata=strata)
    return bootstrap(_statistic(data, thresholds, groups, names.size), NAMES, weights)


def jackknife(data: Predictions, thresholds: ArrayLike | None = None) -> Resampled:
    """The statistics without one block of patients after the other, which BCa intervals need.

    Args:
        data: N images.
        thresholds: as for `measure`.

    Returns:
        `Resampled` with the names `NAMES`, for `intervals`.
    """
    names, groups = np.unique(data.patient, return_inverse=True)
    statistic = _statistic(data, thresholds, groups, names.size)
    return bootstrap(statistic, NAMES, jackknife_weights(names.size))


def _statistic(
    data: Predictions, thresholds: ArrayLike | None, groups: NDArray, count: int
) -> Callable[[Floats], Floats]:
    """The statistics `NAMES` as a function of the weights of `count` patients."""
    labels = len(LABELS)
    rankings = [
        roc.rank(data.truth[:, label], data.scores[:, label], groups, count)
        for label in range(labels)
    ]
    pooled = roc.rank(data.truth.ravel(), data.scores.ravel(), np.repeat(groups, labels), count)
    chosen = np.full(labels, np.nan) if thresholds is None else np.asarray(thresholds)
    fixed = np.full(labels, FIXED_THRESHOLD)
    at_fixed = roc.confusion(data.truth, data.scores, fixed, groups, count)
    at_chosen = roc.confusion(data.truth, data.scores, chosen, groups, count)
    positives = data.truth.any(axis=0)
    both = positives & ~data.truth.all(axis=0)

    def statistic(weights: Floats) -> Floats:
        each = np.array([roc.areas(ranking, weights) for ranking in rankings])
        micro = roc.areas(pooled, weights)
        cells = at_fixed @ weights
        f1 = roc.operating_point(cells)["f1"]
        youden = roc.operating_point(at_chosen @ weights)
        rows = [
            *(each[:, 0], _mean(each[both, 0]), micro[0]),
            *(each[:, 1], _mean(each[both, 1]), micro[1]),
            *(f1, _mean(f1[positives]), roc.operating_point(cells.sum(axis=1))["f1"]),
            *(youden[name] for name in AT_THRESHOLD),
        ]
        return np.concatenate([np.atleast_2d(row) for row in rows])

    return statistic


def undefined(resamples: int) -> Resampled:
    """What `measure` would say of a model that has no answer for these patients.

    Args:
        resamples: R.

    Returns:
        `Resampled` with the names `NAMES`, all NaN: undefined in each of R resamples.
    """
    return Resampled(NAMES, np.full(len(NAMES), np.nan), np.full((len(NAMES), resamples), np.nan))


def _mean(values: Floats) -> Floats:
    """Mean over the rows, NaN without any."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1:], np.nan)
