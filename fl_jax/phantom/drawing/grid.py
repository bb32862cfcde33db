"""The grid of sampling points, and a drawing on it."""

from typing import NamedTuple

import numpy as np

CENTRE = np.zeros((1, 3), np.float32)
"""One sample a pixel, at its centre."""


class Grid(NamedTuple):
    """Sampling points in head coordinates: DICOM LPS axes, mm, origin at the centre of the brain.

    Point (i, j, k) = origin + (i // K)*step_z + samples[i % K] + j*step_y + k*step_x, each float32[3].

    Attributes:
        origin: the first point.
        step_z, step_y, step_x: from slice to slice, row to row, column to column.
        shape: (D, H, W) with D = K * slices planes.
        samples: float32[K, 3], a slice's planes.
    """

    origin: np.ndarray
    step_z: np.ndarray
    step_y: np.ndarray
    step_x: np.ndarray
    shape: tuple[int, int, int]
    samples: np.ndarray = CENTRE

    def points(self) -> np.ndarray:
        """float32[3, D*H*W], mm."""
        d, h, w = (np.arange(n, dtype=np.float32) for n in self.shape)
        slices = np.floor(d / len(self.samples)).astype(np.float32)
        planes = slices[:, None] * self.step_z + self.origin
        planes = planes.astype(np.float32) + np.resize(self.samples, planes.shape)
        rows, columns = h[:, None] * self.step_y, w[:, None] * self.step_x
        points = np.empty((3, *self.shape), np.float32)
        for axis, out in enumerate(points):
            np.add(
                planes[:, axis, None, None],
                rows[:, axis, None] + columns[:, axis],
                out=out,
                casting="same_kind",
            )
        return points.reshape(3, -1)


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
