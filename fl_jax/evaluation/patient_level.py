"""Predictions of slices aggregated to patients or studies.

    truth = max over the slices      score = mean of the k highest slice scores; k = 1 is the maximum

The result is again a `Predictions` with one row per patient or study, so every statistic of slices applies.
The maximum over many slices is not a calibrated probability: use it for ranking, and `noisy_or` for
probabilities.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.evaluation.predictions import Predictions


class Groups(NamedTuple):
    """N slices grouped into U patients or studies.

    Attributes:
        names: str[U], ascending.
        first: int[U], a slice of each.
        unit: int[N] in [0, U), each slice's.
        truth: uint8[U, L], the largest of the slices'.
    """

    names: NDArray[np.str_]
    first: NDArray[np.intp]
    unit: NDArray[np.intp]
    truth: NDArray[np.uint8]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of float64[N, L] by unit, float64[U, L]."""
        size = len(self.names)
        columns = [np.bincount(self.unit, column, size) for column in values.T]
        return np.stack(columns, axis=1).astype(np.float64)

    def predictions(self, data: Predictions, scores: NDArray[np.float64]) -> Predictions:
        """The units of `data` with scores float64[U, L], named by unit."""
        patient, site, split = (
            field[self.first] for field in (data.patient, data.site, data.split)
        )
        return Predictions(self.names, patient, site, split, self.truth, scores)


def group(data: Predictions, units: ArrayLike | None = None) -> Groups:
    """Groups slices into patients or studies; arguments and errors as for `aggregate`."""
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
    return Groups(names, first, unit, truth)


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
    groups = group(data, units)
    columns = [_top_mean(scores, groups.unit, len(groups.names), top) for scores in data.scores.T]
    return groups.predictions(data, np.stack(columns, axis=1))


def _top_mean(scores: NDArray, unit: NDArray, count: int, top: int) -> NDArray[np.float64]:
    order = np.lexsort((-scores, unit))
    sizes = np.bincount(unit, minlength=count)
    place = np.arange(unit.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = order[place < top]
    return np.bincount(unit[kept], scores[kept], minlength=count) / np.minimum(sizes, top)
