"""What a model's predictions are worth on one cohort, so that cohorts of another origin can be compared.

    micro, macro   AUROC over slices: all labels' scores pooled; mean over labels
    any            AUROC over slices for `any`
    patient        AUROC over patients for `any`; a patient's score is the largest of the slices'
    pairs          AUROC for `any` over pairs of slices with like areas of soft tissue, see `shortcuts`
    called         share of slices without a bleed whose score for `any` is at least a threshold

Every statistic has resamples by patient within sites, as in `bootstrap`; NaN where it is undefined.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import ANY
from fl_jax.evaluation import roc, shortcuts
from fl_jax.evaluation.bootstrap import Floats, Resampled, bootstrap, patient_weights
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.evaluation.predictions import Predictions

NAMES = ("micro", "macro", "any", "patient", "pairs", "called")
"""The statistics of `measure`."""
Statistic = Callable[[Floats], Floats]
"""Weights of G patients float64[G, R] to float64[R]."""


def measure(
    data: Predictions, area: Floats, threshold: float, *, resamples: int = 1000, seed: int = 0
) -> Resampled:
    """Bootstraps the statistics over patients.

    Args:
        data: N slices.
        area: float64[N] >= 0, of soft tissue, see `fl_jax.evaluation.tissue`.
        threshold: of `any`, chosen on validation data; NaN leaves `called` undefined.
        resamples: R.
        seed: equal seeds and patients give equal resamples.

    Returns:
        `Resampled` with the names `NAMES`.
    """
    names, first, groups = np.unique(data.patient, return_index=True, return_inverse=True)
    count = names.size
    each: list[Statistic] = [
        *_by_slice(data, groups, count),
        _by_patient(data),
        _on_pairs(data, area, groups, count),
        _called(data, threshold, groups, count),
    ]

    def statistic(weights: Floats) -> Floats:
        return np.stack([value(weights) for value in each])

    weights = patient_weights(count, resamples=resamples, seed=seed, strata=data.site[first])
    return bootstrap(statistic, NAMES, weights)


def _by_slice(data: Predictions, groups: NDArray[np.intp], count: int) -> list[Statistic]:
    truth, scores, size = data.truth, data.scores, data.truth.shape[1]
    micro = _auroc(truth.ravel(), scores.ravel(), np.repeat(groups, size), count)
    known = [k for k in range(size) if truth[:, k].any() and not truth[:, k].all()]
    labels = [_auroc(truth[:, k], scores[:, k], groups, count) for k in known]

    def macro(weights: Floats) -> Floats:
        values = [value(weights) for value in labels]
        return np.mean(values, axis=0) if values else np.full(weights.shape[1], np.nan)

    return [micro, macro, _auroc(truth[:, ANY], scores[:, ANY], groups, count)]


def _by_patient(data: Predictions) -> Statistic:
    patients = aggregate(data)  # in the order of their names, as the weights
    places = np.arange(len(patients.image))
    return _auroc(patients.truth[:, ANY], patients.scores[:, ANY], places, places.size)


def _auroc(truth: NDArray, scores: NDArray, groups: NDArray, count: int) -> Statistic:
    ranked = roc.rank(truth, scores, groups, count)
    return lambda weights: roc.areas(ranked, weights)[0]


def _on_pairs(data: Predictions, area: Floats, groups: NDArray[np.intp], count: int) -> Statistic:
    pairs = shortcuts.match(data.truth[:, ANY], area)
    table = shortcuts.wins_by_patient(pairs, {"model": data.scores[:, ANY]}, groups, count)
    return lambda weights: shortcuts.matched_areas(table, weights)[0]


def _called(data: Predictions, threshold: float, groups: NDArray[np.intp], count: int) -> Statistic:
    normal = data.truth[:, ANY] == 0
    called = np.where(np.isnan(threshold), np.nan, data.scores[normal, ANY] >= threshold)
    number = np.bincount(groups[normal], minlength=count)
    positives = np.bincount(groups[normal], called, minlength=count)
    return lambda weights: _share(positives @ weights, number @ weights)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
