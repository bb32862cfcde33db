"""The grid of sampling points, and a drawing on it."""

from typing import NamedTuple

import numpy as np


class Grid(NamedTuple):
    """Sampling points in head coordinates: DICOM LPS axes, mm, origin at the centre of the brain.

    Point (i, j, k) = origin + i*step_z + j*step_y + k*step_x, each float32[3].
    """

    origin: np.ndarray
    step_z: np.ndarray
    step_y: np.ndarray
    step_x: np.ndarray
    shape: tuple[int, int, int]


class Drawing(NamedTuple):
    """A drawn head.

    Attributes:
        hu: float32[D, H, W], noise-free HU; air is -1000.
        lesions: uint8[5, D, H, W], 1 where the subtype's blood replaces tissue, in the order of
            `types.LABELS[1:]`.
        brain: bool[D, H, W], the intracranial space.
        metal: bool[D, H, W] or None, the source of streaks.
    """

    hu: np.ndarray
    lesions: np.ndarray
    brain: np.ndarray
    metal: np.ndarray | None
