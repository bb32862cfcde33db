"""Converts stored values to Hounsfield units (HU) and resizes pictures."""

import cv2
import numpy as np

from fl_jax.core.types import AIR
from fl_jax.data.dicom.header import Header, integer, text
from fl_jax.data.dicom.refusal import Reason, RefusedError, Repair

HU_RANGE = (-1024, 3071)
"""Range of 12 bits with intercept -1024, in HU. Metal above it is clipped."""
PADDING_BELOW = -1200
"""Values at or below this many HU are padding; air with any scanner's noise lies above."""

AIR_BELOW, TISSUE_ABOVE = -700, -250
"""Air lies below the first and tissue above the second; only pixels at their border lie between, in HU."""
NO_AIR = -200
"""A head has air around it, so a picture whose lowest HU is above this is no picture of a head."""
BONE = 300

Extremes = tuple[float, float]
"""Smallest and largest value of a picture."""


def hounsfield(
    header: Header, stored: np.ndarray, slope: float, intercept: float
) -> tuple[np.ndarray, tuple[Repair, ...]]:
    """Converts stored values to int16 HU within `HU_RANGE`; returns the repairs they needed, too."""
    bits, signed = integer(header, "BitsStored"), bool(integer(header, "PixelRepresentation"))
    unsigned = stored
    stored, extremes, repairs = _significant(stored, bits, signed)
    if repairs and _air_outside(unsigned * slope + intercept):
        raise RefusedError(Reason.BIT_DEPTH, "signed, but its border is air only without a sign")
    wrapped = bits == 12 and not signed and intercept > -100
    if wrapped and slope != 1:
        raise RefusedError(
            Reason.BAD_RESCALE, f"unsigned 12 bits from {intercept} HU with slope {slope}: no air"
        )
    hu, (low, high) = _unwrap(stored) if wrapped else _rescaled(stored, extremes, slope, intercept)
    if text(header, "PhotometricInterpretation") == "MONOCHROME1" and not _air_outside(hu):
        top = -1 if signed else 2**bits - 1
        stored, extremes = top - stored.astype(np.int32), (top - extremes[1], top - extremes[0])
        hu, (low, high) = (
            _unwrap(stored) if wrapped else _rescaled(stored, extremes, slope, intercept)
        )
        repairs.append(Repair.INVERTED)
        if not _air_outside(hu):
            raise RefusedError(Reason.PHOTOMETRIC, "MONOCHROME1, and neither polarity shows air")
    if wrapped:
        repairs.append(Repair.WRAPAROUND)
    _check_content(hu, low, high, abs(slope))
    if low <= PADDING_BELOW:
        repairs.append(Repair.PADDING)
    if low < HU_RANGE[0] or high > HU_RANGE[1]:
        np.clip(hu, *HU_RANGE, out=hu)
    return hu.astype(np.int16, copy=False), tuple(repairs)


def _check_content(hu: np.ndarray, low: float, high: float, slope: float) -> None:
    """Refuses HU that no head CT has, as a wrong slope or intercept gives them; looks at 8 rows or more.

    A slice above the vertex contains only air, which is accepted: it has noise, and HU of air.
    """
    if low > NO_AIR or (high > HU_RANGE[1] and (hu > HU_RANGE[1]).mean() > 0.1):
        raise RefusedError(Reason.OUT_OF_RANGE, f"{low:g} to {high:g} HU")
    some = hu[:: max(1, hu.shape[0] // 8)].ravel()
    tissue = np.count_nonzero(some >= TISSUE_ABOVE) / some.size
    if tissue < 0.001:
        air = some[(some > HU_RANGE[0]) & (some < AIR_BELOW)]
        if slope < 0.5 or air.size < some.size / 2 or np.unique(air).size < 8:
            raise RefusedError(
                Reason.BLANK, f"{low:g} to {high:g} HU, and neither tissue nor the noise of air"
            )
    if (bone := np.count_nonzero(some > BONE) / some.size) > 0.25:
        raise RefusedError(Reason.OUT_OF_RANGE, f"{bone:.0%} of the pixels are above {BONE} HU")
    between = np.count_nonzero(some > AIR_BELOW) / some.size - tissue
    if between > 0.2 and 2 * between > tissue:
        raise RefusedError(
            Reason.OUT_OF_RANGE, f"{between:.0%} of the pixels lie between air and tissue"
        )
    if low <= PADDING_BELOW:
        below = some[some <= PADDING_BELOW]
        lost = np.count_nonzero(below != low) / some.size
        if lost > 0.05:  # the lowest value may be an artefact's, so look for the commonest
            lost = (below.size - np.unique(below, return_counts=True)[1].max()) / some.size
        if lost > 0.05:
            raise RefusedError(
                Reason.OUT_OF_RANGE,
                f"{lost:.0%} of the pixels are below {PADDING_BELOW} HU and not of one padding value",
            )


def _significant(
    stored: np.ndarray, bits: int, signed: bool
) -> tuple[np.ndarray, Extremes, list[Repair]]:
    """Interprets the stored bits; refuses a constant picture and values that exceed BitsStored."""
    low, high, half = int(stored.min()), int(stored.max()), 2 ** (bits - 1)
    if low == high:
        raise RefusedError(Reason.EMPTY, f"every pixel is {low}")
    if signed and low >= 0 and half <= high < 2 * half:
        stored = np.where(stored >= half, stored - np.int32(2 * half), stored)
        return stored, _extremes(stored), [Repair.SIGN]
    if high >= (half if signed else 2 * half) or low < -half:
        raise RefusedError(Reason.BIT_DEPTH, f"values {low} to {high} with BitsStored {bits}")
    return stored, (low, high), []


def _extremes(values: np.ndarray) -> Extremes:
    return int(values.min()), int(values.max())


def _unwrap(stored: np.ndarray) -> tuple[np.ndarray, Extremes]:
    """Maps HU modulo 4096 to [-1000, 3096), which equals the rule in `refusal`'s table."""
    hu = (stored.astype(np.int16) + 1000 & 4095) - 1000  # exact: 12 bits are stored
    return hu, _extremes(hu)


def _rescaled(
    stored: np.ndarray, extremes: Extremes, slope: float, intercept: float
) -> tuple[np.ndarray, Extremes]:
    """slope * stored + intercept, rounded; in int16 arithmetic if that is exact, as it nearly always is.

    The map is monotone, so the extremes are scaled instead of computed again.
    """
    low, high = sorted(float(np.rint(end * slope + intercept)) for end in extremes)
    fits = min(extremes[0], low) >= -(2**15) and max(extremes[1], high) < 2**15
    if slope == 1 and intercept == int(intercept) and fits:
        same = stored.dtype.itemsize == 2  # values below 2^15 need no copy
        stored = stored.view(np.int16) if same else stored.astype(np.int16)
        return stored + np.int16(intercept), (low, high)
    with np.errstate(over="ignore"):
        hu = np.rint(stored * np.float64(slope) + intercept)
    return hu, (low, high)


def _air_outside(hu: np.ndarray) -> bool:
    """Whether the picture's border is air or padding, as in every head CT."""
    return float(np.median(np.concatenate([hu[0], hu[-1], hu[:, 0], hu[:, -1]]))) < -200


def resize(hu: np.ndarray, size: int, spacing: tuple[float, float]) -> np.ndarray:
    """Resizes to size x size square pixels; pads a picture that is not square with air.

    Args:
        hu: int16[rows, columns] in HU.
        size: side of the result in pixels.
        spacing: mm between rows and between columns; NaN means square pixels.

    Returns:
        int16[size, size] in HU.
    """
    extent = hu.shape
    if min(spacing) > 0:
        extent = [pixels * mm for pixels, mm in zip(hu.shape, spacing, strict=True)]
    rows, columns = (max(1, round(size * side / max(extent))) for side in extent)
    if (rows, columns) != hu.shape:
        shrinks = rows <= hu.shape[0] and columns <= hu.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        hu = np.asarray(cv2.resize(hu, (columns, rows), interpolation=how), np.int16)
    if rows == columns:
        return hu
    square = np.full((size, size), AIR, np.int16)
    top, left = (size - rows) // 2, (size - columns) // 2
    square[top : top + rows, left : left + columns] = hu
    return square
