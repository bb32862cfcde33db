"""Resamples pictures to a fixed size of the pixel, centred on the head: `config.spacing_mm`.

    pixel (i, j) of the result = the mean of the picture over
        centre + [(i, i + 1) - size / 2] * mm  by  centre + [(j, j + 1) - size / 2] * mm

The field of view is size x mm, whatever the file's was: heads then have their size in pixels, and zoom is
the patient's, not the scanner's. Shrinking averages areas, like `hounsfield.resize`, so nothing is aliased;
growing interpolates bilinearly. Outside of the picture is air. The window starts at a whole pixel of the
file, so the centre is within half of one, about 0.25 mm; the scale is exact.

The centre is one for all slices of a plane of a series that share their matrix and spacing: the median of
the centres of their skulls (see `fl_jax.data.head`), over slices whose skull has at least half the area of
the largest. So vertex and neck do not count, head rests and tables are no skull, and neighbouring slices
keep their relation. A file that is read alone is centred on its own skull. Without a skull of `SMALLEST`
the centre is the picture's.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from fl_jax.core.types import AIR
from fl_jax.data.dicom.refusal import Reason, RefusedError

FIELDS_OF_VIEW = (100.0, 1000.0)
"""Extent of a picture that may be a head's, mm: a smaller or larger one has a wrong Pixel Spacing."""
SMALLEST = 80.0
"""Area of a skull that tells where the head is, cm2; less is a vertex, or one bone of a neck or face."""
LARGE = 0.5
"""Slices with less than this share of the series' largest skull do not count for its centre."""


class Centre(NamedTuple):
    """Where a picture is centred: mm below and right of its centre."""

    row: float
    column: float


MIDDLE = Centre(0.0, 0.0)
NO_SKULL = (math.nan, math.nan, math.nan)
"""Area, row and column."""


def check_spacing(shape: tuple[int, int], spacing: tuple[float, float]) -> None:
    """Refuses a picture whose pixel spacing is missing, or cannot be a head's."""
    if not min(spacing) > 0:
        raise RefusedError(
            Reason.MISSING_SPACING, "PixelSpacing is missing or malformed, and spacing_mm needs it"
        )
    low, high = FIELDS_OF_VIEW
    for side, mm in zip(shape, spacing, strict=True):
        if not low <= side * mm <= high:
            raise RefusedError(
                Reason.BAD_GEOMETRY,
                f"{side} pixels of {mm:g} mm are {side * mm:g} mm, not {low:g} to {high:g}",
            )


def resample(
    hu: np.ndarray, size: int, spacing: tuple[float, float], mm: float, centre: Centre = MIDDLE
) -> np.ndarray:
    """Resamples a picture to size x size pixels of mm x mm.

    Args:
        hu: int16[rows, columns] in HU.
        size: side of the result in pixels.
        spacing: mm between rows and between columns, positive.
        mm: side of the result's pixels.
        centre: of the result.

    Returns:
        int16[size, size] in HU.
    """
    axes = zip(hu.shape, spacing, centre, strict=True)
    (top, high), (left, wide) = (_window(n, size, mm / each, at / each) for n, each, at in axes)
    window = np.full((high, wide), AIR, np.int16)
    inner = hu[max(top, 0) : max(top + high, 0), max(left, 0) : max(left + wide, 0)]
    down, right = max(-top, 0), max(-left, 0)
    window[down : down + inner.shape[0], right : right + inner.shape[1]] = inner
    shrinks = mm >= max(spacing)
    return np.asarray(
        cv2.resize(
            window,
            None,
            fx=spacing[1] / mm,
            fy=spacing[0] / mm,
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )[:size, :size],
        np.int16,
    )


def _window(n: int, size: int, step: float, shift: float) -> tuple[int, int]:
    """First pixel and number of pixels of one axis that the result covers; `step` and `shift` in pixels."""
    first = round(n / 2 + shift - size * step / 2)
    return first, math.ceil((size + 0.5) * step)


class Centres:
    """Collects where the heads of a dataset lie, and gives the centre of every file."""

    def __init__(self) -> None:
        self._groups: dict[tuple[object, ...], list[tuple[float, float, float]]] = {}
        self._of_file: list[tuple[object, ...] | None] = []

    def add(self, group: tuple[object, ...] | None, head: tuple[float, float, float]) -> None:
        """Adds the next file.

        Args:
            group: files of one group have one centre; None for a refused file.
            head: area, row and column of its skull, NaN without one.
        """
        self._of_file.append(group)
        if group is not None:
            heads = self._groups.setdefault(group, [])
            if not math.isnan(head[0]):
                heads.append(head)

    def all(self) -> tuple[list[Centre], int, int]:
        """The centre of every file; how many groups there are, and how many without such a skull."""
        centres: dict[tuple[object, ...] | None, Centre] = {None: MIDDLE}
        without = 0
        for group, heads in self._groups.items():
            table = np.array(heads).reshape(-1, 3)
            large = table[table[:, 0] >= max(SMALLEST, LARGE * table[:, 0].max(initial=0))]
            row, column = np.median(large[:, 1:], 0).round(2) if len(large) else MIDDLE
            centres[group] = Centre(float(row), float(column))
            without += not len(large)
        return [centres[group] for group in self._of_file], len(self._groups), without
