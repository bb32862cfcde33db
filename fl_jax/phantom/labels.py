"""What a reader would mark on a slice: a subtype whose visible blood covers enough of it.

    visible_k = sum_pixels area * f_k * clip(|contrast| / (3 noise), 1/4, 1)          mm^2
    label_k   = visible_k >= threshold, wrong with probability `error` between threshold / 2 and 2 threshold
    any       = OR_k label_k

f_k is the share of the slice's thickness that the blood fills, contrast is the slice's HU against its
healthy brain (its median), noise the standard deviation in the slice. Blood as dense as brain still
counts a quarter, since shape and mass effect show it. Pixels that are mostly bone do not count. A slice
without any blood of a subtype never carries its label.
"""

from typing import NamedTuple

import numpy as np

from fl_jax.phantom.scanner.geometry import Geometry
from fl_jax.phantom.scanner.scan import Scan

THRESHOLD = 40.0
"""Visible area (mm^2) from which blood is called; 5 x 8 mm, say."""
READER_ERROR = 0.1
"""Probability that a call within a factor of two of the threshold is wrong."""


class Reading(NamedTuple):
    """What was marked on the n slices of a study, and why.

    Attributes:
        labels: uint8[n, 6] in {0, 1}, in the order of `types.LABELS`.
        area: float32[n, 5], area of blood times the share of the thickness it fills, mm^2, per subtype.
        visible: float32[n, 5], the same weighted by contrast to noise, mm^2.
        flipped: uint8[n, 5], 1 where the reader erred.
    """

    labels: np.ndarray
    area: np.ndarray
    visible: np.ndarray
    flipped: np.ndarray


def read_slices(
    scan: Scan,
    geometry: Geometry,
    rng: np.random.Generator,
    *,
    threshold: float = THRESHOLD,
    error: float = READER_ERROR,
) -> Reading:
    """Label every slice of a scan.

    Args:
        scan: the series with its true lesions.
        geometry: the slices.
        rng: source of the reader's errors.
        threshold: visible area, mm^2.
        error: probability in [0, 1] of a wrong call near the threshold.

    Returns:
        The reading.

    Raises:
        ValueError: for a threshold that is not positive or an error outside [0, 1].
    """
    if not threshold > 0:
        raise ValueError(f"threshold={threshold} mm^2: give a positive area")
    if not 0 <= error <= 1:
        raise ValueError(f"error={error}: give a probability in [0, 1]")
    pixel = (geometry.field_of_view / scan.clean.shape[-1]) ** 2
    filled = scan.lesions * (scan.brain > 0.6)
    weight = np.stack(
        [
            np.clip(np.abs(image - _healthy(image, brain, blood)) / (3 * noise), 0.25, 1.0)
            for image, brain, blood, noise in zip(
                scan.clean, scan.brain, scan.lesions.sum(0), scan.noise, strict=True
            )
        ]
    )
    area = scan.lesions.sum((2, 3)).T * pixel
    visible = np.einsum("knhw,nhw->nk", filled, weight) * pixel
    calls = visible >= threshold
    near = (visible > threshold / 2) & (visible < 2 * threshold)
    flipped = near & (rng.random(calls.shape) < error)
    calls ^= flipped
    labels = np.concatenate([calls.any(1, keepdims=True), calls], axis=1)
    return Reading(
        labels.astype(np.uint8),
        area.astype(np.float32),
        visible.astype(np.float32),
        flipped.astype(np.uint8),
    )


def _healthy(image: np.ndarray, brain: np.ndarray, blood: np.ndarray) -> float:
    """Median HU of the slice's brain without blood; 33 HU where a slice has none."""
    inside = (brain > 0.9) & (blood < 0.05)
    return float(np.median(image[inside])) if inside.sum() > 50 else 33.0
