"""Slice labels by a simulated reader: a subtype is called if enough of its blood is visible.

    seen_k    = sum_pixels area * f_k * clip(|contrast| / (3 noise), least_k, 1)       mm^2
    visible_k = seen_k + min(seen_k / 2, (seen_k below + seen_k above) / 4)
    label_k   = visible_k >= threshold, wrong with probability `error` between threshold / 2 and 2 threshold
    any       = OR_k label_k

f_k is the share of the slice's thickness that blood fills, contrast the HU difference to the slice's
healthy brain (its median), noise the standard deviation in the slice. Isodense blood on the skull counts a
quarter (least_k), because shape and mass effect reveal it, elsewhere a twentieth. Pixels that bone fills, or
brightens beyond 120 HU, do not count. Radiologists scroll: what a slice shows counts up to half more where
its neighbours show it too. So the ends of a bleed are called from 27 mm^2; a lone spot, which may be partial
volume or noise, from 40. A slice without blood of a subtype never has its label.
"""

from typing import NamedTuple

import numpy as np

from fl_jax.phantom.scanner.geometry import Geometry
from fl_jax.phantom.scanner.scan import Scan

THRESHOLD = 40.0
"""Smallest visible area (mm^2) that is called, such as 2 x 20 mm of a sulcus or a spot of 7 mm."""
LEAST = np.array([0.25, 0.05, 0.05, 0.05, 0.25], np.float32)
"""Weight of isodense blood, by subtype."""
BONE = 120.0
"""HU from which a pixel looks like bone in a brain or subdural window, whatever else it has a share of."""
READER_ERROR = 0.1
"""Probability that a call within a factor of two of the threshold is wrong."""


class Reading(NamedTuple):
    """The reader's labels for n slices.

    Attributes:
        labels: uint8[n, 6] in {0, 1}, in the order of `types.LABELS`.
        area: float32[n, 5], area of blood times the share of the thickness that it fills, mm^2, per subtype.
        visible: float32[n, 5], the same weighted by contrast-to-noise ratio, and what neighbours add, mm^2.
        flipped: uint8[n, 5], 1 where the reader errs.
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
    """Labels every slice of a scan.

    Args:
        scan: the series with its true lesions.
        geometry: of the slices.
        rng: random generator for the reader's errors.
        threshold: visible area > 0, mm^2.
        error: probability in [0, 1] of a wrong call near the threshold.
    """
    if not threshold > 0:
        raise ValueError(f"threshold={threshold} mm^2: pass a positive area")
    if not 0 <= error <= 1:
        raise ValueError(f"error={error}: pass a probability in [0, 1]")
    pixel = (geometry.field_of_view / scan.clean.shape[-1]) ** 2
    filled = scan.lesions * ((scan.brain > 0.6) & (scan.clean < BONE))
    weight = np.stack(
        [
            np.clip(np.abs(image - _healthy(image, brain, blood)) / (3 * noise), 0.0, 1.0)
            for image, brain, blood, noise in zip(
                scan.clean, scan.brain, scan.lesions.sum(0), scan.noise, strict=True
            )
        ]
    )
    area = scan.lesions.sum((2, 3)).T * pixel
    seen = [
        np.einsum("nhw,nhw->n", one, np.maximum(weight, least))
        for one, least in zip(filled, LEAST, strict=True)
    ]
    seen = np.stack(seen, axis=1) * pixel
    padded = np.pad(seen, ((1, 1), (0, 0)))
    visible = seen + np.minimum(seen / 2, (padded[:-2] + padded[2:]) / 4)
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
    """Median HU of the slice's brain without blood; 33 HU if there is none."""
    inside = (brain > 0.9) & (blood < 0.05)
    return float(np.median(image[inside])) if inside.sum() > 50 else 33.0
