"""The flaws of the published code as pure functions, for `configs/as_published.py` only."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.data.partition import Partition
from fl_jax.data.slices import Slices
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.experiment.arms import Arm

AIR = -1024
"""HU of an all-zero picture: below every window."""


def split_by_image(
    slices: Slices, partition: Partition, arm: Arm, seed: int
) -> tuple[Arm, np.ndarray]:
    """Splits each site's slices at random, regardless of patients.

    Args:
        slices: the dataset.
        partition: gives the number of slices of each split at each site.
        arm: the federated arm.
        seed: of the split.

    Returns:
        The arm with training and validation rows of the new split, and the test rows, sorted.
    """
    train, validation, test = [], [], []
    for number, site in enumerate(arm.sites):
        parts = [partition.rows(slices, name, site) for name in ("train", "validation", "test")]
        mixed = np.random.default_rng([seed, number]).permutation(np.concatenate(parts))
        ends = np.cumsum([len(part) for part in parts[:2]])
        for kept, rows in zip((train, validation, test), np.split(mixed, ends), strict=True):
            kept.append(np.sort(rows))
    mixed_arm = arm._replace(train=tuple(train), validation=np.sort(np.concatenate(validation)))
    return mixed_arm, np.sort(np.concatenate(test))


def unreadable(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Draws the share in [0, 1] of `count` files that cannot be read: bool[count]."""
    lost = np.zeros(count, bool)
    drawn = np.random.default_rng([seed, 1]).permutation(count)[: round(share * count)]
    lost[drawn] = True
    return lost


def zeroed(slices: Slices, lost: np.ndarray) -> Slices:
    """The dataset in memory, with all-zero pictures and unchanged labels in the rows `lost`, bool[N]."""
    pixels = slices.in_memory().hu(np.arange(len(slices))).copy()
    pixels[lost] = AIR
    return dataclasses.replace(slices, pixels=pixels)


def without(arm: Arm, lost: np.ndarray) -> Arm:
    """An arm without the rows `lost`, bool[N], with as many examples per round as before."""
    train = tuple(rows[~lost[rows]] for rows in arm.train)
    return arm._replace(train=train, validation=arm.validation[~lost[arm.validation]])


def one_round(arm: Arm) -> Arm:
    """A local arm's first round only, as when a site fine-tunes a received model."""
    return arm._replace(participating=arm.participating[:1], examples=arm.examples[:1])


def bleed_free_weights(labels: np.ndarray, *, ceiling: float) -> np.ndarray:
    """Positive weights as published: images without a bleed divided by the label's positives.

    Args:
        labels: int[N, L] in {0, 1}, `any` first.
        ceiling: the largest weight, which a label without a positive gets.

    Returns:
        float32[L] in [1, ceiling].
    """
    positives = labels.sum(0, dtype=np.int64)
    ratio = (labels[:, 0] == 0).sum() / np.maximum(positives, 1)
    return np.where(positives > 0, np.clip(ratio, 1, ceiling), ceiling).astype(np.float32)


def coverage(data: Predictions, *, resamples: int, seed: int) -> dict[str, Any]:
    """Width and coverage of DeLong's 95 % intervals by slice and by patient.

    Simulation: the patients of `data` are the population, its macro AUROC the truth. Cohorts of equal size
    are drawn with replacement, and both intervals computed for each.

    Args:
        data: predictions for the population.
        resamples: number of cohorts.
        seed: of the simulation.

    Returns:
        Widths `published` (by slice) and `right` (by patient), their `difference` and its `samples` by
        cohort, None where a label occurs in fewer than two patients; `coverage_published` and
        `coverage_right`; and `undefined`, the number of cohorts excluded from these.
    """
    names, groups = np.unique(data.patient, return_inverse=True)
    rows = [np.flatnonzero(groups == group) for group in range(len(names))]
    generator = np.random.default_rng([seed, 2])
    whole, truth = _widths(data)
    widths, hits = [], []
    for _ in range(resamples):
        drawn = [rows[g] for g in generator.integers(len(names), size=len(names))]
        cohort = select(data, np.concatenate(drawn))._replace(
            patient=np.repeat(np.arange(len(drawn)), [len(part) for part in drawn]).astype(str)
        )
        cohort_widths, estimates = _widths(cohort)
        widths.append(cohort_widths)
        hits.append([e.low <= truth[0].estimate <= e.high for e in estimates])
    known = ~np.isnan(widths).any(axis=1)
    naive, right = np.array(hits)[known].mean(axis=0) if known.any() else (np.nan, np.nan)
    differ = np.array(widths)[:, 0] - np.array(widths)[:, 1]
    return {
        "published": whole[0],
        "right": whole[1],
        "difference": whole[0] - whole[1],
        "samples": [float(d) if np.isfinite(d) else None for d in differ],
        "coverage_published": float(naive),
        "coverage_right": float(right),
        "undefined": int((~known).sum()),
    }


def _widths(data: Predictions) -> tuple[list[float], list[Any]]:
    areas = label_areas(data)
    estimates = [delong_estimates(areas, by_patient=by)["macro"] for by in (False, True)]
    return [each.high - each.low for each in estimates], estimates
