"""The points that are drawn, and the drawing."""

from typing import NamedTuple

import numpy as np


class Grid(NamedTuple):
    """Sampling points in head coordinates, mm, origin at the centre of the brain.

    DICOM LPS axes: x to the patient's left, y to posterior, z to the vertex.
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
        hu: float32[D, H, W], HU, noise-free tissue; air is -1000.
        lesions: uint8[5, D, H, W], 1 where that subtype's blood takes the place of tissue, in the order of
            `types.LABELS[1:]`; all zero in a patient without bleeding.
        brain: bool[D, H, W], the intracranial space.
        metal: bool[D, H, W] or None, what the scanner turns into streaks.
    """

    hu: np.ndarray
    lesions: np.ndarray
    brain: np.ndarray
    metal: np.ndarray | None
