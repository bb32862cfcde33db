"""All statistics of one model on one data set, resampled together, so that any two models compare in pairs.

For each label: AUROC, average precision, F1 at 0.4 (the study's), and precision, recall, specificity and
F1 at an operating point that was chosen on validation data. Over labels:

    macro = mean over the labels that have both classes in the data set
    micro = one area over all labels' scores pooled (the study's "all subtypes")

A resample in which one of macro's labels loses a class is undefined, rather than a mean over other labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import delong, roc
from fl_jax.evaluation.intervals import Resampled, bootstrap, left_out_weights, patient_weights
from fl_jax.evaluation.predictions import Predictions, select

Floats = NDArray[np.float64]
POOLED = ("macro", "micro")
FIXED_THRESHOLD = 0.4
"""The study reports F1 where the probability is at least this."""
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


def youden_thresholds(validation: Predictions) -> Floats:
    """Each label's operating point on validation data.

    Args:
        validation: of N images; the data that this model was allowed to see.

    Returns:
        float64[L], probabilities; NaN for a label without both classes.
    """
    columns = zip(validation.truth.T, validation.scores.T, strict=True)
    return np.array([roc.youden_threshold(truth, scores) for truth, scores in columns])


def align(models: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Sorts every model's images alike and makes sure that they are the same images.

    Args:
        models: predictions by model on one data set.

    Returns:
        The same, sorted by image.

    Raises:
        ValueError: two models have other images, or disagree on an image's truth, patient, site or split.
    """
    ordered = {name: select(data, np.argsort(data.image)) for name, data in models.items()}
    first = next(iter(ordered), "")
    for name, data in ordered.items():
        for field in ("image", "patient", "site", "split", "truth"):
            if not np.array_equal(getattr(data, field), getattr(ordered[first], field)):
                raise ValueError(
                    f"the models {first!r} and {name!r} differ in {field!r} on data that both are judged "
                    "on: predict again for both from the same dataset"
                )
    return ordered


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


def left_out(data: Predictions, thresholds: ArrayLike | None = None) -> Resampled:
    """The statistics without one block of patients after the other, which BCa intervals need.

    Args:
        data: N images.
        thresholds: as for `measure`.

    Returns:
        `Resampled` with the names `NAMES`, for `intervals`.
    """
    names, groups = np.unique(data.patient, return_inverse=True)
    statistic = _statistic(data, thresholds, groups, names.size)
    return bootstrap(statistic, NAMES, left_out_weights(names.size))


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


class Errors(NamedTuple):
    """The AUROC of every label, micro and macro, with the errors that two kinds of clusters give.

    Attributes:
        patients: `delong.Area` by label and "micro", clusters being patients.
        slices: the same with slices as clusters, as if those of one patient were independent.
        both: the labels that macro is the mean of.
    """

    patients: dict[str, delong.Area]
    slices: dict[str, delong.Area]
    both: tuple[str, ...]


def errors(data: Predictions) -> Errors:
    """What DeLong's intervals and tests of one model on one data set are made from.

    Args:
        data: N images.

    Returns:
        The `Errors`, for `compare`.
    """
    pairs = zip(data.truth.T, data.scores.T, strict=True)
    each = {name: delong.placements(*pair) for name, pair in zip(LABELS, pairs, strict=True)}
    pooled = delong.placements(data.truth.ravel(), data.scores.ravel())
    names, patients = np.unique(data.patient, return_inverse=True)

    def areas(groups: NDArray, count: int) -> dict[str, delong.Area]:
        found = {name: delong.clustered(placed, groups, count) for name, placed in each.items()}
        return found | {"micro": delong.clustered(pooled, np.repeat(groups, len(LABELS)), count)}

    both = np.flatnonzero(data.truth.any(axis=0) & ~data.truth.all(axis=0))
    return Errors(
        areas(patients, names.size),
        areas(np.arange(data.image.size), data.image.size),
        tuple(LABELS[label] for label in both),
    )


def compare(
    first: Errors, second: Errors | None = None, *, level: float = 0.95, by_patient: bool = True
) -> dict[str, delong.Estimate]:
    """DeLong's estimate of every AUROC of a model, or of its difference from another's.

    Args:
        first: of `errors`.
        second: of another model on the same images; first - second is estimated where it is given.
        level: coverage of the intervals.
        by_patient: False takes slices for independent, as the study did; for comparison only, as such
            intervals are too narrow.

    Returns:
        `delong.Estimate` by label, macro and micro; single areas with the interval on the logit scale.
    """
    models = [model.patients if by_patient else model.slices for model in (first, second) if model]
    signs = [1.0, -1.0][: len(models)]
    found = {}
    for name in (*LABELS, *POOLED):
        parts = first.both if name == "macro" else (name,)
        areas = [model[part] for model in models for part in parts]
        weights = [sign / len(parts) for sign in signs for _ in parts]
        found[name] = (
            delong.contrast(areas, weights, level=level, logit=second is None)
            if areas
            else delong.Estimate(*[float("nan")] * 5)
        )
    return found


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
