"""DeLong's AUROC of every label, micro and macro, and paired differences between two models."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import delong
from fl_jax.evaluation.predictions import Predictions

POOLED = ("macro", "micro")


class LabelAreas(NamedTuple):
    """One model's AUROCs by label and "micro", with two choices of cluster.

    Attributes:
        patients: `delong.Area` by name, patients as clusters.
        slices: `delong.Area` by name, slices as clusters, as if a patient's slices were independent.
        both: the labels with both classes, over which macro averages.
    """

    patients: dict[str, delong.Area]
    slices: dict[str, delong.Area]
    both: tuple[str, ...]


def label_areas(data: Predictions) -> LabelAreas:
    """Sorts one model's scores once, for any number of `delong_estimates`."""
    pairs = zip(data.truth.T, data.scores.T, strict=True)
    each = {name: delong.placements(*pair) for name, pair in zip(LABELS, pairs, strict=True)}
    pooled = delong.placements(data.truth.ravel(), data.scores.ravel())
    names, patients = np.unique(data.patient, return_inverse=True)

    def areas(groups: NDArray, count: int) -> dict[str, delong.Area]:
        by_label = {name: delong.clustered(placed, groups, count) for name, placed in each.items()}
        micro = delong.clustered(pooled, np.repeat(groups, len(LABELS)), count)
        return by_label | {"micro": micro}

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
    """Estimates every AUROC of a model, or its paired difference from another model's.

    Args:
        first: from `label_areas`.
        second: of another model on the same images, for first - second.
        level: coverage of the intervals.
        by_patient: False treats slices as independent, as the published study did. Such intervals are too
            narrow; use them for comparison only.

    Returns:
        `delong.Estimate` by label, macro and micro; a single area has its interval on the logit scale.
    """
    models = [model.patients if by_patient else model.slices for model in (first, second) if model]
    signs = [1.0, -1.0][: len(models)]
    estimates = {}
    for name in (*LABELS, *POOLED):
        parts = first.both if name == "macro" else (name,)
        areas = [model[part] for model in models for part in parts]
        weights = [sign / len(parts) for sign in signs for _ in parts]
        estimates[name] = (
            delong.contrast(areas, weights, level=level, logit=second is None)
            if areas
            else delong.Estimate(*[float("nan")] * 5)
        )
    return estimates
