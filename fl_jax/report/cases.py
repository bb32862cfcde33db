"""Which slices the report shows, by a rule that cannot be bent to flatter: never by hand.

For `any` bleeding at the federated model's operating point. The errors are the most confident ones
(false positives with the highest scores, false negatives with the lowest); the right calls are evenly
spread over the scores. One slice a patient and outcome.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.data.windows import DEFAULT_WINDOWS, Window
from fl_jax.evaluation.predictions import Predictions

OUTCOMES = ("true positive", "false positive", "false negative", "true negative")
EACH = 8
WINDOWS = dict(zip(("brain", "subdural", "soft tissue"), DEFAULT_WINDOWS, strict=True))

Thumbnails = Callable[[Sequence[str]], Mapping[str, NDArray[np.int16]]]
"""Maps image names to int16[3, H, W] HU: the slice below in its series, the slice itself and the one above;
where there is none, the slice itself in its place. A name that it does not know is left out."""


def choose(
    data: Predictions | None, thresholds: NDArray[np.float64] | None, each: int = EACH
) -> list[dict[str, Any]]:
    """Picks the cases of the contact sheet.

    Args:
        data: predictions on the primary data set; None gives no cases.
        thresholds: float64[L], the operating point (probability); NaN for `any` gives no cases.
        each: cases of each outcome, at most.

    Returns:
        Cases in the order of `OUTCOMES`: outcome, image, patient, site, score (of `any`), truth (labels
        present) and called (labels at or above their threshold).
    """
    if data is None or thresholds is None or np.isnan(thresholds[0]):
        return []
    truth, called = data.truth[:, 0] == 1, data.scores[:, 0] >= thresholds[0]
    cases = []
    for outcome in OUTCOMES:
        right, positive = outcome.split()
        mask = (called == (positive == "positive")) & ((truth == called) == (right == "true"))
        for row in _pick(data, np.flatnonzero(mask), outcome, each):
            cases.append(
                {
                    "outcome": outcome,
                    "image": str(data.image[row]),
                    "patient": str(data.patient[row]),
                    "site": str(data.site[row]),
                    "score": float(data.scores[row, 0]),
                    "truth": [name for name, t in zip(LABELS, data.truth[row], strict=True) if t],
                    "called": [
                        name
                        for name, score, at in zip(
                            LABELS, data.scores[row], thresholds, strict=True
                        )
                        if score >= at
                    ],
                }
            )
    return cases


def _pick(data: Predictions, rows: NDArray, outcome: str, each: int) -> NDArray:
    """Rows sorted by score, one a patient, then the errors' worst or an even spread of the rest."""
    falling = outcome != "false negative"
    order = rows[np.lexsort((data.image[rows], data.scores[rows, 0] * (-1 if falling else 1)))]
    _, first = np.unique(data.patient[order], return_index=True)
    order = order[np.sort(first)]
    if outcome.startswith("false") or order.size <= each:
        return order[:each]
    return order[np.linspace(0, order.size - 1, each).round().astype(int)]


def windowed(
    hu: NDArray[np.int16], windows: Iterable[Window] = DEFAULT_WINDOWS
) -> NDArray[np.uint8]:
    """Windows of a slice side by side, as a viewer shows them.

    Args:
        hu: int16[H, W], HU.
        windows: C of them.

    Returns:
        uint8[H, C W] grey levels.
    """
    panes = [np.clip((hu - (centre - width / 2)) / width, 0, 1) for centre, width in windows]
    return (255 * np.concatenate(panes, axis=1)).round().astype(np.uint8)


def sheet(hu: NDArray[np.int16]) -> dict[str, bytes | None]:
    """The pictures of a case.

    Args:
        hu: int16[3, H, W] HU, as `Thumbnails` gives them.

    Returns:
        PNG of "slice", its windows side by side, and of "below" and "above", None where the series ends.
    """
    below, middle, above = hu
    found: dict[str, bytes | None] = {"slice": png(windowed(middle))}
    for name, other in (("below", below), ("above", above)):
        found[name] = None if (other == middle).all() else png(windowed(other))
    return found


def png(grey: NDArray[np.uint8]) -> bytes:
    """A grey image as PNG.

    Args:
        grey: uint8[H, W].

    Returns:
        The file's bytes.
    """
    import cv2

    return cv2.imencode(".png", grey)[1].tobytes()
