"""AUROCs by subgroup, suppressing small subgroups.

Subgroups with few patients are suppressed together with their counts: their figures would be noise and might
point at a person.

References: Collins et al., TRIPOD+AI, BMJ 2024; 385:e078378 (performance in subgroups). The intervals are
`delong`'s, with patients as clusters.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions, select

MINIMUM = 10


def table(
    data: Predictions,
    column: ArrayLike,
    *,
    controls: ArrayLike | None = None,
    minimum: int = MINIMUM,
    level: float = 0.95,
) -> dict[str, dict[str, Any]]:
    """Counts and AUROCs of every subgroup.

    Args:
        data: N images.
        column: str[N], each slice's subgroup; "" (unknown) is a subgroup like others.
        controls: bool[N], negatives shared by all subgroups and members of none. Lesion size needs them, as a
            subgroup of lesions alone has no AUROC.
        minimum: subgroups with fewer patients are suppressed; >= 1.
        level: coverage of the intervals.

    Returns:
        By subgroup, sorted: {"suppressed": True}, or {"suppressed": False, "patients", "slices", "positives"
        by label, all without controls, "auroc" by label, macro and micro as the fields of `delong.Estimate`}.
    """
    shape = data.image.shape
    values = np.asarray(column)
    shared = np.zeros(shape, bool) if controls is None else np.asarray(controls, bool)
    for name, given in (("column", values), ("controls", shared)):
        if given.shape != shape:
            raise ValueError(f"{name} has shape {given.shape}: pass one per image, {shape}")
    if minimum < 1:
        raise ValueError(f"minimum={minimum}: must be at least 1, {MINIMUM} is usual")
    rows: dict[str, dict[str, Any]] = {}
    for name in np.unique(values[~shared]):
        inside = (values == name) & ~shared
        patients = np.unique(data.patient[inside]).size
        rows[str(name)] = {"suppressed": patients < minimum}
        if patients >= minimum:
            counts = {"patients": patients, "slices": int(inside.sum())}
            rows[str(name)] |= counts | _row(data, inside, inside | shared, level)
    return rows


def _row(data: Predictions, inside: NDArray, compared: NDArray, level: float) -> dict[str, Any]:
    positives = data.truth[inside].sum(axis=0, dtype=int).tolist()
    areas = delong_estimates(label_areas(select(data, compared)), level=level)
    return {
        "positives": dict(zip(LABELS, positives, strict=True)),
        "auroc": {name: area._asdict() for name, area in areas.items()},
    }


def ranges(values: ArrayLike, edges: Sequence[float], unit: str = "") -> NDArray[np.str_]:
    """Names the intervals that numbers fall into, as a column for `table`.

    Args:
        values: float64[N]; NaN if unknown.
        edges: ascending limits; a value at a limit falls into the interval above it.
        unit: appended to the numbers, such as "mm".

    Returns:
        str[N], such as "< 3 mm", "3 to < 6 mm", "≥ 6 mm"; "" for NaN.
    """
    if not len(edges) or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges={list(edges)}: pass at least one limit, in ascending order")
    values = np.asarray(values, np.float64)
    tail = f" {unit}" if unit else ""
    between = [f"{a:g} to < {b:g}{tail}" for a, b in itertools.pairwise(edges)]
    names = np.array([f"< {edges[0]:g}{tail}", *between, f"≥ {edges[-1]:g}{tail}", ""])
    return names[np.where(np.isnan(values), len(edges) + 1, np.digitize(values, edges))]
