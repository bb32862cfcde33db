"""DeLong's AUROC of every label, of micro and of macro, and paired differences between models."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import delong
from fl_jax.evaluation.predictions import Predictions

POOLED = ("macro", "micro")


class LabelAreas(NamedTuple):
    """The AUROC of every label, micro and macro, with the errors that two kinds of clusters give.

    Attributes:
        patients: `delong.Area` by label and "micro", clusters being patients.
        slices: the same with slices as clusters, as if those of one patient were independent.
        both: the labels that macro is the mean of.
    """

    patients: dict[str, delong.Area]
    slices: dict[str, delong.Area]
    both: tuple[str, ...]


def label_areas(data: Predictions) -> LabelAreas:
    """What DeLong's intervals and tests of one model on one data set are made from.

    Args:
        data: N images.

    Returns:
        The `LabelAreas`, for `delong_estimates`.
    """
    pairs = zip(data.truth.T, data.scores.T, strict=True)
    each = {name: delong.placements(*pair) for name, pair in zip(LABELS, pairs, strict=True)}
    pooled = delong.placements(data.truth.ravel(), data.scores.ravel())
    names, patients = np.unique(data.patient, return_inverse=True)

    def areas(groups: NDArray, count: int) -> dict[str, delong.Area]:
        found = {name: delong.clustered(placed, groups, count) for name, placed in each.items()}
        return found | {"micro": delong.clustered(pooled, np.repeat(groups, len(LABELS)), count)}

    both = np.flatnonzero(data.truth.any(axis=0) & ~data.truth.all(axis=0))
    return LabelAreas(
        areas(patients, names.size),
        areas(np.arange(data.image.size), data.image.size),
        tuple(LABELS[label] for label in both),
    )


def delong_estimates(
    first: LabelAreas,
    second: LabelAreas | None = None,
    *,
    level: float = 0.95,
    by_patient: bool = True,
) -> dict[str, delong.Estimate]:
    """DeLong's estimate of every AUROC of a model, or of its difference from another's.

    Args:
        first: of `label_areas`.
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
