"""What a shortcut scores, and what a model scores on pairs that the shortcut cannot tell apart.

A slice in the middle of the head shows more brain and more often a bleed, so its area of soft tissue alone
ranks slices well without looking for blood. Let a_i be that area, and compare only pairs of like area:

    pairs   = { (i, j): i positive, j negative, min(a_i, a_j) >= (1 - TOLERANCE) max(a_i, a_j) }
    matched = mean over the pairs of [s_i > s_j] + [s_i = s_j] / 2

This is an AUROC adjusted for a continuous covariate by matching. Its interval resamples patients with all
of their slices, as in `bootstrap`: in a resample a pair's weight is the product of its two patients' weights,
also if both are one patient. With `by_unit`, patients or studies take the place of slices.

References: Janes and Pepe, Biometrika 2009; 96:371-382 (covariate-adjusted ROC curves); Rosenbaum and Rubin,
Am Stat 1985; 39:33-38 (calipers); Geirhos et al., Nat Mach Intell 2020; 2:665-673 (shortcuts).

| input | AUROC on matched pairs |
|---|---|
| no positive, no negative, or no pair of like area | NaN; "undefined" says which |
| a resample without a pair | dropped from the interval and counted |
| two slices without soft tissue | of like area |
| more than `MAX_PAIRS` pairs | of a random subset of the positives; counted in "pairs_used" |
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fl_jax.core.types import LABELS
from fl_jax.evaluation.bootstrap import Floats, Interval, bootstrap, intervals, patient_weights
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.tissue import Tissue

TOLERANCE = 0.10
"""The smaller area is at least 90 % of the larger one."""
SOLVED = 0.70
"""From this AUROC on, in either direction, a shortcut solves a data set to a good part."""
MAX_PAIRS = 20_000_000
BLOCK = 2_000_000
"""Pairs that are in memory at once."""
SOFT, BRIGHT = "area of soft tissue", "amount of 50 to 90 HU in the skull"


class Shortcuts(NamedTuple):
    """Scores of N slices, studies or patients that need no look for blood.

    Attributes:
        name: str[N], unique.
        scores: float64[N] by shortcut.
        area: float64[N] >= 0, by which pairs are matched.
        unit: of the scores.
    """

    name: NDArray[np.str_]
    scores: dict[str, Floats]
    area: Floats
    unit: str


def by_slice(tissue: Tissue) -> Shortcuts:
    """The scores of slices."""
    return Shortcuts(
        tissue.image, {SOFT: tissue.soft, BRIGHT: tissue.bright}, tissue.soft, tissue.unit
    )


def by_unit(tissue: Tissue, unit: ArrayLike) -> Shortcuts:
    """The scores of patients or studies str[N]: largest slice, and sum of slices; matched by the largest."""
    names, places = np.unique(np.asarray(unit), return_inverse=True)
    scores = {}
    for name, values in ((SOFT, tissue.soft), (BRIGHT, tissue.bright)):
        largest = np.zeros(names.size)
        np.maximum.at(largest, places, values)
        scores[f"{name}, largest slice"] = largest
        scores[f"{name}, all slices"] = np.bincount(places, values, minlength=names.size)
    return Shortcuts(names, scores, scores[f"{SOFT}, largest slice"], tissue.unit)


class Pairs(NamedTuple):
    """Pairs of like area: positive k with the `sizes[k]` negatives from `negative[first[k]]` on.

    Attributes:
        positive: int[m], rows of the positives.
        first: int[m].
        sizes: int[m], number of negatives of like area.
        negative: int[n], rows of the negatives by area.
        total: number of pairs, before any was left out for `MAX_PAIRS`.
    """

    positive: NDArray[np.intp]
    first: NDArray[np.intp]
    sizes: NDArray[np.intp]
    negative: NDArray[np.intp]
    total: int


def match(
    truth: ArrayLike,
    area: ArrayLike,
    *,
    tolerance: float = TOLERANCE,
    most: int = MAX_PAIRS,
) -> Pairs:
    """Finds the pairs of like area, O(N log N).

    Args:
        truth: [N] in {0, 1}.
        area: float64[N] >= 0.
        tolerance: in [0, 1), see the module.
        most: the most pairs to keep.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance}: pass a share in [0, 1), such as {TOLERANCE}")
    positives, sizes = np.asarray(truth).astype(bool), np.asarray(area, np.float64)
    if not (sizes >= 0).all():
        raise ValueError("area holds NaN or a negative value: leave those examples out")
    negative = np.flatnonzero(~positives)
    negative = negative[np.argsort(sizes[negative], kind="stable")]
    positive = np.flatnonzero(positives)
    # Rounding may not exclude a pair that is exactly at the tolerance.
    least, ordered = (1 - tolerance) * (1 - 1e-12), sizes[negative]
    first = np.searchsorted(ordered, sizes[positive] * least, "left")
    count = np.searchsorted(ordered, sizes[positive] / least, "right") - first
    total = int(count.sum())
    if total > most:
        order = np.random.default_rng(0).permutation(positive.size)
        kept = np.sort(order[np.cumsum(count[order]) <= most])
        positive, first, count = positive[kept], first[kept], count[kept]
    return Pairs(positive, first, count, negative, total)


def wins_by_patient(
    pairs: Pairs, scores: Mapping[str, Floats], groups: NDArray[np.intp], count: int
) -> sparse.csr_array:
    """Wins of each score and the number of pairs, by pair of patients.

    Args:
        pairs: from `match`.
        scores: K scores, float64[N] by name.
        groups: int[N] in [0, G), each row's patient.
        count: G.

    Returns:
        float64[(K + 1) G, G]: row k G + g, column h has the wins of score k where patient g is positive and
        patient h negative; the last G rows have the numbers of pairs.
    """
    height = len(scores) + 1
    table = sparse.csr_array((height * count, count))
    ends = np.cumsum(pairs.sizes)
    start = 0
    while start < ends.size:
        before = ends[start] - pairs.sizes[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        counts = pairs.sizes[start:stop]
        rows = np.repeat(pairs.positive[start:stop], counts)
        offset = np.repeat(pairs.first[start:stop] - (ends[start:stop] - counts - before), counts)
        columns = pairs.negative[np.arange(rows.size) + offset]
        code, place = np.unique(groups[rows] * count + groups[columns], return_inverse=True)
        wins = [
            (values[rows] > values[columns]) + 0.5 * (values[rows] == values[columns])
            for values in scores.values()
        ]
        parts = [np.bincount(place, won, minlength=code.size) for won in wins]
        parts.append(np.bincount(place, minlength=code.size))
        at = np.concatenate([code // count + k * count for k in range(height)])
        block = (np.concatenate(parts), (at, np.tile(code % count, height)))
        table = table + sparse.coo_array(block, shape=table.shape).tocsr()
        start = stop
    return table


def matched_areas(table: sparse.csr_array, weights: Floats) -> Floats:
    """AUROC on matched pairs of each score, with patients weighted.

    Args:
        table: of `wins_by_patient`, float64[(K + 1) G, G].
        weights: float64[G, R], of patients.

    Returns:
        float64[K, R]; NaN where no pair has a weight.
    """
    parts = (table @ weights).reshape(-1, *weights.shape)
    sums = np.einsum("kgr,gr->kr", parts, weights)
    out = np.full(sums[:-1].shape, np.nan)
    return np.divide(sums[:-1], sums[-1], out=out, where=sums[-1] > 0)


def section(
    models: Mapping[str, Predictions],
    shortcuts: Shortcuts,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Scores every model and every shortcut on one data set.

    Args:
        models: predictions of the same N slices, studies or patients, in one order.
        shortcuts: of all of them, in any order, by the name in `Predictions.image`.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        level: coverage of the intervals.

    Returns:
        "tolerance"; "unit"; "shortcuts", their names; "pairs" and "pairs_used" by label; "undefined", why
        there are no pairs, by label; "auroc" (DeLong, patients as clusters) and "matched" (bootstrap of
        patients) by [model or shortcut][label or macro]; "solved", the shortcuts with an AUROC of at least
        `SOLVED` for `any`.

    Raises:
        ValueError: an image without shortcut scores, or a model that is named as a shortcut.
    """
    data = next(iter(models.values()))
    if models.keys() & shortcuts.scores.keys():
        raise ValueError(f"models holds one named as a shortcut, {[*shortcuts.scores]}: rename it")
    rows = _rows(shortcuts, data)
    every = {name: values[rows] for name, values in shortcuts.scores.items()}
    scores = {
        name: np.repeat(values[:, None], len(LABELS), axis=1) for name, values in every.items()
    } | {name: model.scores for name, model in models.items()}
    auroc = {}
    for name, values in scores.items():
        estimates = delong_estimates(label_areas(data._replace(scores=values)), level=level)
        auroc[name] = {
            label: {"estimate": cell.estimate, "low": cell.low, "high": cell.high}
            for label, cell in estimates.items()
            if label != "micro"
        }
    matching = {
        label: match(data.truth[:, n], shortcuts.area[rows]) for n, label in enumerate(LABELS)
    }
    matched = _matched(data, scores, matching, resamples, seed, level)
    return {
        "tolerance": TOLERANCE,
        "unit": shortcuts.unit,
        "shortcuts": [*every],
        "pairs": {label: pairs.total for label, pairs in matching.items()},
        "pairs_used": {label: int(pairs.sizes.sum()) for label, pairs in matching.items()},
        "undefined": {label: why for label, pairs in matching.items() if (why := _why(pairs))},
        "auroc": auroc,
        "matched": matched,
        "solved": [
            name
            for name in every
            if abs(auroc[name]["any"]["estimate"] - 0.5) >= SOLVED - 0.5 - 1e-12
        ],
    }


def _rows(shortcuts: Shortcuts, data: Predictions) -> NDArray[np.intp]:
    order = np.argsort(shortcuts.name)
    places = np.searchsorted(shortcuts.name, data.image, sorter=order).clip(max=order.size - 1)
    rows = order[places] if order.size else places
    if not order.size or (shortcuts.name[rows] != data.image).any():
        raise ValueError("shortcuts lacks some of the images: measure the tissue of all of them")
    return rows


def _why(pairs: Pairs) -> str:
    if not pairs.positive.size:
        return "no positive"
    if not pairs.negative.size:
        return "no negative"
    return "" if pairs.total else "no pair of like area"


def _matched(
    data: Predictions,
    scores: Mapping[str, Floats],
    matching: Mapping[str, Pairs],
    resamples: int,
    seed: int,
    level: float,
) -> dict[str, dict[str, Any]]:
    patients, first, groups = np.unique(data.patient, return_index=True, return_inverse=True)
    size = patients.size
    tables = [
        wins_by_patient(
            pairs, {name: values[:, n] for name, values in scores.items()}, groups, size
        )
        for n, pairs in enumerate(matching.values())
    ]
    has_pairs = np.array([bool(pairs.total) for pairs in matching.values()])

    def statistic(weights: Floats) -> Floats:
        each = np.stack([matched_areas(table, weights) for table in tables])
        macro = each[has_pairs].mean(axis=0) if has_pairs.any() else np.full(each.shape[1:], np.nan)
        return np.concatenate([each.reshape(-1, weights.shape[1]), macro])

    names = [f"{name}/{label}" for label in (*LABELS, "macro") for name in scores]
    weights = patient_weights(size, resamples=resamples, seed=seed, strata=data.site[first])
    cells = intervals(bootstrap(statistic, names, weights), level)
    table: dict[str, dict[str, Any]] = {name: {} for name in scores}
    for label in (*LABELS, "macro"):
        for name in scores:
            cell: Interval = cells[f"{name}/{label}"]
            table[name][label] = cell._asdict()
    return table
