"""Predictions by label, and all labels as one micro column."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation.predictions import Predictions


class LabelColumn(NamedTuple):
    """One label's predictions for N slices.

    Attributes:
        truth: [N] in {0, 1}.
        scores: float64[N], probabilities.
        patients: int[N], number of each slice's patient.
    """

    truth: NDArray
    scores: NDArray[np.float64]
    patients: NDArray[np.intp]


def label_columns(data: Predictions) -> dict[str, LabelColumn]:
    """Splits N predictions into L columns of length N and the column "micro" of length N L."""
    _, patients = np.unique(data.patient, return_inverse=True)
    columns = {
        label: LabelColumn(data.truth[:, i], data.scores[:, i], patients)
        for i, label in enumerate(LABELS)
    }
    repeated = np.repeat(patients, len(LABELS))
    return columns | {"micro": LabelColumn(data.truth.ravel(), data.scores.ravel(), repeated)}
