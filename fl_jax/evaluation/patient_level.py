"""Whether a patient bleeds, from what a model says of the slices.

    truth = max over the slices      score = mean of the k highest scores of the slices; k = 1 is the maximum

The result is again a `Predictions`, one row a patient or study, so that every statistic of slices is one of
patients too. The maximum over many slices is no calibrated probability; the ranking is what counts.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.evaluation.predictions import Predictions


def aggregate(data: Predictions, units: ArrayLike | None = None, *, top: int = 1) -> Predictions:
    """One row for each patient or study.

    Args:
        data: N images.
        units: str[N], the study of each image; patients without it.
        top: k >= 1, how many of the highest scores are averaged, label by label; all, where a unit has
            fewer slices.

    Returns:
        `Predictions` sorted by unit, whose images are the units.

    Raises:
        ValueError: top is below 1, units has another length than N, a unit is of two patients, sites or
            splits.
    """
    if top < 1:
        raise ValueError(f"top={top}: must be at least 1, which is the maximum")
    chosen = data.patient if units is None else np.asarray(units)
    if chosen.shape != data.image.shape:
        raise ValueError(f"units has shape {chosen.shape}: pass one per image, {data.image.shape}")
    names, first, unit = np.unique(chosen, return_index=True, return_inverse=True)
    for field in ("patient", "site", "split"):
        values = getattr(data, field)
        mixed = values != values[first][unit]
        if mixed.any():
            raise ValueError(
                f"units holds {str(chosen[mixed][0])!r} with more than one {field}: a study belongs to one"
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
