"""Does a model do as well on thick slices, on that scanner, on small bleeds? A row a subgroup, or none.

A subgroup of few patients is suppressed, counts and all: its figures would be noise, and might point at a
person. A single suppressed row can still be worked out from the total; where that matters, merge it.

References: Collins et al., TRIPOD+AI, BMJ 2024; 385:e078378 (performance in subgroups); the intervals are
those of `delong`, with patients as clusters.
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
    """Every subgroup's counts and AUROCs.

    Args:
        data: N images.
        column: str[N], each slice's subgroup; "" for unknown, which is a subgroup like others.
        controls: bool[N], slices that every subgroup is told apart from, and that are in none: for the size
            of a bleed those without one, as a subgroup of bleeds alone has no AUROC.
        minimum: the fewest patients of its own that a row may have.
        level: coverage of the intervals.

    Returns:
        By subgroup, sorted: {"suppressed": False, "patients", "slices", "positives" by label, all without
        controls, "auroc" by label, macro and micro as the fields of `delong.Estimate`}, or
        {"suppressed": True}.

    Raises:
        ValueError: column or controls has another length than N, minimum is below 1.
    """
    shape = data.image.shape
    values = np.asarray(column)
    shared = np.zeros(shape, bool) if controls is None else np.asarray(controls, bool)
    for name, given in (("column", values), ("controls", shared)):
        if given.shape != shape:
            raise ValueError(f"{name} has shape {given.shape}: pass one per image, {shape}")
    if minimum < 1:
        raise ValueError(f"minimum={minimum}: must be at least 1, {MINIMUM} is usual")
    found = {}
    for name in np.unique(values[~shared]):
        own = (values == name) & ~shared
        patients = np.unique(data.patient[own]).size
        found[str(name)] = {"suppressed": patients < minimum}
        if patients >= minimum:
            counts = {"patients": patients, "slices": int(own.sum())}
            found[str(name)] |= counts | _row(data, own, own | shared, level)
    return found


def _row(data: Predictions, own: NDArray, judged: NDArray, level: float) -> dict[str, Any]:
    positives = data.truth[own].sum(axis=0, dtype=int).tolist()
    areas = delong_estimates(label_areas(select(data, judged)), level=level)
    return {
        "positives": dict(zip(LABELS, positives, strict=True)),
        "auroc": {name: found._asdict() for name, found in areas.items()},
    }


def ranges(values: ArrayLike, edges: Sequence[float], unit: str = "") -> NDArray[np.str_]:
    """Names of the intervals that numbers fall into, as a column for `table`.

    Args:
        values: float64[N]; NaN for unknown.
        edges: E ascending limits; a value on a limit falls into the interval above it.
        unit: written behind the numbers, such as "mm".

    Returns:
        str[N], such as "< 3 mm", "3 to < 6 mm", "≥ 6 mm"; "" for NaN.

    Raises:
        ValueError: edges is empty or does not ascend.
    """
    if not len(edges) or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges={list(edges)}: pass at least one limit, in ascending order")
    values = np.asarray(values, np.float64)
    tail = f" {unit}" if unit else ""
    between = [f"{a:g} to < {b:g}{tail}" for a, b in itertools.pairwise(edges)]
    said = np.array([f"< {edges[0]:g}{tail}", *between, f"≥ {edges[-1]:g}{tail}", ""])
    return said[np.where(np.isnan(values), len(edges) + 1, np.digitize(values, edges))]
