"""Where a scan's slices lie: the head's pose, the gantry's tilt, and the grid of points to draw.

Patient coordinates are DICOM's (x to the patient's left, y to posterior, z to the head, mm). The point at row
i, column j of a slice is

    position + i * spacing * down + j * spacing * right        right = (1, 0, 0), down = (0, cos t, -sin t)

with gantry tilt t. The table moves along z, so tilted slices form a sheared stack, as in real scans. A
rotation R and a shift c place the head: patient = R head + c.

References: DICOM PS3.3 C.7.6.2 (Image Plane), C.8.2.1 (CT Image: Gantry/Detector Tilt).
"""

from typing import NamedTuple

import numpy as np

from fl_jax.phantom.drawing.grid import Grid

DRAWN = (64, 192)
"""Fewest and most rows and columns of the drawn planes; between them, they are those of the image."""
SAMPLES = {
    2: np.array([(-0.25, -0.25, -0.25), (0.25, 0.25, 0.25)]),
    3: np.array([(-1 / 3, 0.0, -1 / 3), (0.0, 1 / 3, 0.0), (1 / 3, -1 / 3, 1 / 3)]),
}
"""A voxel's samples along z, y and x, in slice thicknesses and pixels."""


class Pose(NamedTuple):
    """The head's pose on the table.

    Attributes:
        yaw: rotation about z, degrees, positive when the nose turns to the patient's left.
        pitch: rotation about x, degrees, positive with the chin down.
        roll: rotation about y, degrees.
        shift: x and y of the brain's centre from the gantry's axis, mm.
    """

    yaw: float
    pitch: float
    roll: float
    shift: tuple[float, float]

    def rotation(self) -> np.ndarray:
        """float64[3, 3], the rotation R from head to patient coordinates."""
        yaw, pitch, roll = np.deg2rad([self.yaw, self.pitch, self.roll])
        about_z = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
        about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        about_y = [[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]]
        return np.array(about_z) @ np.array(about_x) @ np.array(about_y)


class Geometry(NamedTuple):
    """The slices of a series in patient coordinates, and the grid to draw them on.

    Attributes:
        positions: float64[n, 3], centre of each slice's first pixel, mm, ascending in z.
        down: float64[3], unit vector from row to row (the second of ImageOrientationPatient).
        spacing: pixel size, mm.
        matrix: rows = columns of the images.
        thickness: slice thickness (full width at half maximum of the profile), mm.
        increment: table feed from slice to slice along z, mm.
        tilt: gantry tilt, degrees.
        grid: points to draw in head coordinates; a slice is the mean of its planes.
    """

    positions: np.ndarray
    down: np.ndarray
    spacing: float
    matrix: int
    thickness: float
    increment: float
    tilt: float
    grid: Grid

    @property
    def field_of_view(self) -> float:
        """Width of the image, mm."""
        return self.spacing * self.matrix


def plan_slices(
    *,
    pose: Pose,
    tilt: float,
    field_of_view: float,
    matrix: int,
    thickness: float,
    increment: float,
    bottom: float,
    top: float,
) -> Geometry:
    """Plans the slices through a head.

    Args:
        pose: of the head.
        tilt: gantry tilt, degrees.
        field_of_view: width of the reconstructed square, mm.
        matrix: rows = columns of the images.
        thickness: slice thickness, mm.
        increment: table feed from slice to slice, mm.
        bottom: lowest z of the slices' centres, mm from the brain's centre (negative).
        top: highest z, mm.

    Returns:
        The `Geometry`; its first slice is the lowest.
    """
    lengths = {"field_of_view": field_of_view, "thickness": thickness, "increment": increment}
    for name, length in lengths.items():
        if not length > 0:
            raise ValueError(f"{name}={length} mm: pass a positive length")
    if top <= bottom:
        raise ValueError(f"top={top} mm must lie above bottom={bottom} mm")
    angle = np.deg2rad(tilt)
    right, down = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), -np.sin(angle)])
    slices = int((top - bottom) // increment) + 1
    heights = bottom + increment * np.arange(slices)
    spacing = field_of_view / matrix
    corner = -(matrix - 1) / 2 * spacing * (right + down)
    positions = corner + heights[:, None] * [0, 0, 1.0]

    drawn = int(np.clip(matrix, *DRAWN))
    step = field_of_view / drawn
    samples = SAMPLES[2 if thickness < 5.5 else 3] @ np.stack(
        [[0, 0, thickness / np.cos(angle)], step * down, step * right]
    )
    into_head = pose.rotation().T
    centre = np.array([*pose.shift, 0.0])
    first = -(drawn - 1) / 2 * step * (right + down) + [0, 0, bottom]

    def head(vector: np.ndarray) -> np.ndarray:
        return (into_head @ vector).astype(np.float32)

    grid = Grid(
        origin=head(first - centre),
        step_z=head(np.array([0, 0, increment])),
        step_y=head(step * down),
        step_x=head(step * right),
        shape=(slices * len(samples), drawn, drawn),
        samples=head(samples.T).T,
    )
    return Geometry(positions, down, spacing, matrix, thickness, increment, tilt, grid)
