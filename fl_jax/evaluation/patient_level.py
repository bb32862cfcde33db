"""Predictions of slices aggregated to patients or studies.

    truth = max over the slices      score = mean of the k highest slice scores; k = 1 is the maximum

The result is again a `Predictions` with one row per patient or study, so every statistic of slices applies.
The maximum over many slices is not a calibrated probability; use it for ranking.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.evaluation.predictions import Predictions


def aggregate(data: Predictions, units: ArrayLike | None = None, *, top: int = 1) -> Predictions:
    """Aggregates slices to patients or studies.

    Args:
        data: N images.
        units: str[N], each image's study. Default: its patient.
        top: k >= 1, number of highest scores to average, label by label; all if a unit has fewer slices.

    Returns:
        `Predictions` sorted by unit, with the unit as image name.

    Raises:
        ValueError: top < 1, units is not of length N, or a unit spans several patients, sites or splits.
    """
    if top < 1:
        raise ValueError(f"top={top}: must be at least 1, which takes the maximum")
    unit_name = data.patient if units is None else np.asarray(units)
    if unit_name.shape != data.image.shape:
        raise ValueError(
            f"units has shape {unit_name.shape}: pass one per image, {data.image.shape}"
        )
    names, first, unit = np.unique(unit_name, return_index=True, return_inverse=True)
    for field in ("patient", "site", "split"):
        values = getattr(data, field)
        mixed = values != values[first][unit]
        if mixed.any():
            raise ValueError(
                f"units holds {str(unit_name[mixed][0])!r} with more than one {field}: "
                "make study names unique"
            )
    truth = np.zeros((names.size, data.truth.shape[1]), np.uint8)
    np.maximum.at(truth, unit, data.truth)
    columns = [_top_mean(scores, unit, names.size, top) for scores in data.scores.T]
    scores = np.stack(columns, axis=1)
    return Predictions(
        names, data.patient[first], data.site[first], data.split[first], truth, scores
    )


def _top_mean(scores: NDArray, unit: NDArray, count: int, top: int) -> NDArray[np.float64]:
    order = np.lexsort((-scores, unit))
    sizes = np.bincount(unit, minlength=count)
    place = np.arange(unit.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = order[place < top]
    return np.bincount(unit[kept], scores[kept], minlength=count) / np.minimum(sizes, top)
