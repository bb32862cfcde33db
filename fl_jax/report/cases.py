"""Selects the slices of the contact sheet by a fixed rule, so that nobody can pick flattering ones.

The selection is for the label `any` at the federated model's operating point. Errors are the most confident
ones: the highest-scoring false positives, the lowest-scoring false negatives. Correct calls are evenly spread
over the scores. Each patient appears at most once per outcome.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation.predictions import Predictions

OUTCOMES = ("true positive", "false positive", "false negative", "true negative")
CASES_PER_OUTCOME = 8

Thumbnails = Callable[[Sequence[str]], Mapping[str, NDArray[np.int16]]]
"""Maps image names to int16[3, H, W] HU: the slice below in its series, the slice itself and the one above.
At the end of a series the slice itself stands in for its neighbour. Unknown names are omitted."""


def choose(
    data: Predictions | None,
    thresholds: NDArray[np.float64] | None,
    per_outcome: int = CASES_PER_OUTCOME,
) -> list[dict[str, Any]]:
    """Selects the cases of the contact sheet.

    Args:
        data: predictions on the primary data set, or None.
        thresholds: float64[L], the operating point (probability), or None.
        per_outcome: maximum number of cases of each outcome.

    Returns:
        Cases in the order of `OUTCOMES`: outcome, image, patient, site, score (of `any`), truth (labels
        present) and called (labels at or above their threshold). Empty without data, or if the threshold of
        `any` is NaN.
    """
    if data is None or thresholds is None or np.isnan(thresholds[0]):
        return []
    truth, called = data.truth[:, 0] == 1, data.scores[:, 0] >= thresholds[0]
    cases = []
    for outcome in OUTCOMES:
        right, positive = outcome.split()
        mask = (called == (positive == "positive")) & ((truth == called) == (right == "true"))
        for row in _select(data, np.flatnonzero(mask), outcome, per_outcome):
            above = data.scores[row] >= thresholds
            cases.append(
                {
                    "outcome": outcome,
                    "image": str(data.image[row]),
                    "patient": str(data.patient[row]),
                    "site": str(data.site[row]),
                    "score": float(data.scores[row, 0]),
                    "truth": _names(data.truth[row]),
                    "called": _names(above),
                }
            )
    return cases


def _names(mask: NDArray) -> list[str]:
    return [label for label, yes in zip(LABELS, mask, strict=True) if yes]


def _select(data: Predictions, rows: NDArray, outcome: str, count: int) -> NDArray:
    """One row a patient: the most confident errors, or an even spread over the scores of correct calls."""
    sign = 1 if outcome == "false negative" else -1
    order = rows[np.lexsort((data.image[rows], data.scores[rows, 0] * sign))]
    _, first = np.unique(data.patient[order], return_index=True)
    order = order[np.sort(first)]
    if outcome.startswith("false") or order.size <= count:
        return order[:count]
    return order[np.linspace(0, order.size - 1, count).round().astype(int)]
