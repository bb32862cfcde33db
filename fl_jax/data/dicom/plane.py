"""The image plane: where a slice lies and how its picture must be turned to be radiological.

    normal = row x column, signed towards the head;    position = corner . normal      mm

Radiological: rows run to the patient's left and columns to posterior, so that the patient's right is at the
picture's left and the face on top. Of the 8 flips and transposes of a picture the nearest is chosen; pixels
only change places. Directions are the patient's, whatever Patient Position (prone, feet first) says.

| `ImageOrientationPatient`, `ImagePositionPatient` | outcome |
|---|---|
| gantry tilt, an oblique or rotated reconstruction, up to 45 degrees from radiological | stays as it is |
| any other axial orientation, with either normal | turned, counted as `Repair.TURNED`; spacing swapped if transposed |
| a series with normals more than 1 degree apart | each plane is a separate series, see `Planes` |
| normal more than 45 degrees from the body's axis: sagittal, coronal | refused, `NOT_AXIAL` |
| missing or empty | refused, `MISSING_GEOMETRY`: the picture could be a mirror image |
| malformed, not finite, not orthonormal, beyond `FARTHEST`; Pixel Spacing of which one is over 4 times the other | refused, `BAD_GEOMETRY` |

Reference: DICOM PS3.3 C.7.6.2 (Image Plane).
"""  # noqa: E501 - a table

import math
from typing import NamedTuple

import numpy as np

from fl_jax.data.dicom.header import Header, is_empty, numbers
from fl_jax.data.dicom.refusal import Reason, RefusedError

FARTHEST = 1e5
"""Largest coordinate in mm; float32 resolves 0.01 mm below it."""
PARALLEL = math.cos(math.radians(1))
"""Normals within one degree belong to one plane."""
_ORIENTATION, _POSITION = "ImageOrientationPatient", "ImagePositionPatient"


class Plane(NamedTuple):
    """Where a slice lies, and how to turn its picture; flips come after the transpose.

    Attributes:
        normal: unit vector towards the head.
        position: mm along the normal, increasing towards the head.
        spacing: mm between rows and between columns of the turned picture; NaN if missing or malformed.
        transposed: swap rows and columns.
        upside_down: reverse the order of rows.
        mirrored: reverse the order of columns.
    """

    normal: tuple[float, float, float]
    position: float
    spacing: tuple[float, float]
    transposed: bool
    upside_down: bool
    mirrored: bool

    @property
    def turned(self) -> bool:
        """Whether the picture as stored is not radiological."""
        return self.transposed or self.upside_down or self.mirrored

    def radiological(self, picture: np.ndarray) -> np.ndarray:
        """The picture turned, [rows, columns], contiguous; the picture itself if nothing is to be done."""
        if not self.turned:
            return picture
        picture = picture.T if self.transposed else picture
        rows, columns = -1 if self.upside_down else 1, -1 if self.mirrored else 1
        return np.ascontiguousarray(picture[::rows, ::columns])


class Planes:
    """Tells the planes of a series apart, which has several where the gantry's tilt changes.

    Positions along different normals cannot be compared, so each plane becomes a separate series.
    """

    def __init__(self) -> None:
        self._normals: dict[str, list[tuple[float, float, float]]] = {}

    def series(self, uid: str, normal: tuple[float, float, float]) -> str:
        """The name of a slice's series: its UID, with a number from the second plane on."""
        normals = self._normals.setdefault(uid, [])
        parallel = [
            sum(x * y for x, y in zip(normal, other, strict=True)) > PARALLEL for other in normals
        ]
        if True not in parallel:
            normals.append(normal)
            parallel.append(True)
        number = 1 + parallel.index(True)
        return uid if number == 1 else f"{uid} plane {number}"


def image_plane(header: Header) -> Plane:
    """The plane of a slice; refuses planes that are unknown or not axial."""
    for keyword in (_ORIENTATION, _POSITION):
        if is_empty(header, keyword):
            raise RefusedError(Reason.MISSING_GEOMETRY, f"{keyword} is missing or empty")
    orientation, corner = numbers(header, _ORIENTATION, 6), numbers(header, _POSITION, 3)
    if not all(map(math.isfinite, orientation)):
        raise RefusedError(Reason.BAD_GEOMETRY, f"{_ORIENTATION} is not 6 finite numbers")
    if not all(abs(x) <= FARTHEST for x in corner):
        raise RefusedError(
            Reason.BAD_GEOMETRY, f"{_POSITION} is not 3 numbers of at most {FARTHEST:g} mm"
        )
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    errors = (a * a + b * b + c * c - 1, d * d + e * e + f * f - 1, a * d + b * e + c * f)
    if not max(map(abs, errors)) <= 0.02:
        values = " ".join(f"{x:.3g}" for x in orientation)
        raise RefusedError(Reason.BAD_GEOMETRY, f"{_ORIENTATION} {values} is not orthonormal")
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    if abs(normal[2]) < math.cos(math.pi / 4):
        raise RefusedError(
            Reason.NOT_AXIAL, "the slice normal is ({:.2f} {:.2f} {:.2f})".format(*normal)
        )
    transposed = abs(b) + abs(d) > abs(a) + abs(e)
    position = sum(x * n for x, n in zip(corner, normal, strict=True))
    length = math.copysign(math.hypot(*normal), normal[2])
    row, column = _spacing(header)
    return Plane(
        normal=(normal[0] / length, normal[1] / length, normal[2] / length),
        position=position if normal[2] > 0 else -position,
        spacing=(column, row) if transposed else (row, column),
        transposed=transposed,
        upside_down=(b if transposed else e) < 0,
        mirrored=(d if transposed else a) < 0,
    )


def _spacing(header: Header) -> tuple[float, float]:
    """Pixel Spacing: mm between rows and between columns; NaN if missing, malformed or not positive."""
    row, column = numbers(header, "PixelSpacing", 2)
    if not (0 < row < math.inf and 0 < column < math.inf):
        return (math.nan, math.nan)
    if max(row, column) / 4 > min(row, column):  # CT reconstructs square pixels
        raise RefusedError(Reason.BAD_GEOMETRY, f"PixelSpacing is {row:g} x {column:g} mm")
    return row, column
