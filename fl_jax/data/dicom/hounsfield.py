"""Pixels: from checked bytes to stored values, to Hounsfield units, to the picture's final size."""

from typing import Any

import cv2
import numpy as np
import pydicom.uid
from pydicom.pixels.decoders.base import get_decoder

from fl_jax.core.types import AIR
from fl_jax.data.dicom.header import Header, integer, numbers, pixel_bytes, text
from fl_jax.data.dicom.parse import quiet
from fl_jax.data.dicom.refusal import Reason, RefusedError, Repair

HU_RANGE = (-1024, 3071)
"""What is kept, HU: the range of 12 bits with intercept -1024. Metal above it is clipped."""
PADDING_BELOW = -1200
"""HU at or under which a value is padding: air with any scanner's noise lies above."""

END_OF_IMAGE = b"\xff\xd9"
"""How a stream of the JPEG family ends; what follows it in a file is padding and a delimiter."""
LAST_STEP = 100
"""Stored values by which a picture's last pixel, completed by a pad byte, may differ from the one before."""

Ends = tuple[float, float]
"""The smallest and the largest value of a picture."""


def stored_values(header: Header) -> tuple[np.ndarray, tuple[Repair, ...]]:
    """The pixels as stored, int16 or uint16 [rows, columns]; uncompressed ones without pydicom.

    pydicom's own decoding of uncompressed pixels lets one missing byte pass, and a second frame.
    """
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if rows < 1 or columns < 1:
        raise RefusedError(Reason.BAD_GEOMETRY, f"Rows {rows} x Columns {columns}")
    allocated, bits = integer(header, "BitsAllocated"), integer(header, "BitsStored")
    high, signed = integer(header, "HighBit", bits - 1), integer(header, "PixelRepresentation")
    if allocated != 16 or not 8 <= bits <= 16 or high != bits - 1 or signed not in (0, 1):
        raise RefusedError(
            Reason.BIT_DEPTH,
            f"BitsAllocated {allocated}, BitsStored {bits}, HighBit {high}, signed {signed}",
        )
    data, order, syntax = pixel_bytes(header), header.order, header.syntax
    if not data:
        raise RefusedError(Reason.EMPTY, "PixelData is missing or of length 0")
    if syntax is not None and not syntax.is_transfer_syntax:
        raise RefusedError(Reason.COMPRESSED, f"TransferSyntaxUID {syntax} is not known")
    if syntax is not None and syntax.is_encapsulated:
        pixels = _decoded(
            bytes(data),
            syntax,
            rows=rows,
            columns=columns,
            samples_per_pixel=1,
            number_of_frames=1,
            photometric_interpretation=text(header, "PhotometricInterpretation"),
            bits_allocated=allocated,
            bits_stored=bits,
            pixel_representation=signed,
            pixel_keyword="PixelData",
        )
        return pixels, ()
    need = 2 * rows * columns
    padded = len(data) == need - 1 and order == "<"
    if padded:
        data = bytes(data) + b"\0"
    if len(data) < need:
        raise RefusedError(Reason.TRUNCATED, f"{len(data)} of {need} pixel bytes")
    if len(data) >= 2 * need:
        raise RefusedError(Reason.MULTI_FRAME, f"{len(data)} bytes, one frame has {need}")
    if len(data) > need:
        raise RefusedError(
            Reason.BAD_GEOMETRY, f"{len(data)} pixel bytes, Rows x Columns need {need}"
        )
    stored = np.frombuffer(data, order + ("i2" if signed else "u2")).reshape(rows, columns)
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if not padded:
        return stored, ()
    last, before = int(stored.flat[-1]), int(stored.flat[max(stored.size - 2, 0)])
    if abs(last - before) > LAST_STEP:  # a byte with a value of its own is lost, not a pad byte
        raise RefusedError(Reason.TRUNCATED, f"{need - 1} of {need} pixel bytes")
    return stored, (Repair.PAD_BYTE,)


def _decoded(data: bytes, syntax: pydicom.uid.UID, **layout: Any) -> np.ndarray:
    """Compressed pixels through pydicom and one of its decoders, whichever others are installed.

    Left to itself pydicom goes on to the next decoder where one finds the stream damaged, and libjpeg gives
    a picture for most of the JPEG-LS streams that pyjpegls refuses; GDCM ends the process on some.
    """
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise RefusedError(Reason.COMPRESSED, f"{syntax.name}: unknown to pydicom") from error
    plugin = _plugin(syntax)
    if plugin not in decoder.available_plugins:
        raise RefusedError(
            Reason.COMPRESSED, f"{syntax.name}: install a decoder, pip install 'fl_jax[decoders]'"
        )
    if "JPEG" in syntax.name and END_OF_IMAGE not in data[-32:]:
        # Decoders fill up what is missing, or do not come to an end.
        raise RefusedError(Reason.TRUNCATED, f"{syntax.name} without its end-of-image marker")
    with quiet():
        pixels, _ = decoder.as_array(data, raw=True, decoding_plugin=plugin, **layout)
    if pixels.shape != (layout["rows"], layout["columns"]) or pixels.dtype.itemsize != 2:
        raise RefusedError(Reason.BAD_GEOMETRY, f"pixels decode to {pixels.dtype}{pixels.shape}")
    return pixels


def _plugin(syntax: pydicom.uid.UID) -> str:
    """pydicom's name of the decoder that reads a transfer syntax."""
    if syntax == pydicom.uid.RLELossless:
        return "pydicom"
    return "pyjpegls" if syntax in pydicom.uid.JPEGLSTransferSyntaxes else "pylibjpeg"


def hounsfield(
    header: Header, stored: np.ndarray, slope: float, intercept: float
) -> tuple[np.ndarray, tuple[Repair, ...]]:
    """Stored values to int16 HU within `HU_RANGE`, with the repairs that this took."""
    bits, signed = integer(header, "BitsStored"), bool(integer(header, "PixelRepresentation"))
    stored, ends, repairs = _significant(stored, bits, signed)
    wrapped = bits == 12 and not signed and intercept > -100
    if wrapped and slope != 1:
        raise RefusedError(
            Reason.BAD_RESCALE, f"unsigned 12 bits from {intercept} HU with slope {slope}: no air"
        )
    hu, (low, high) = _unwrap(stored) if wrapped else _rescaled(stored, ends, slope, intercept)
    if text(header, "PhotometricInterpretation") == "MONOCHROME1" and not _air_outside(hu):
        top = -1 if signed else 2**bits - 1
        stored, ends = top - stored.astype(np.int32), (top - ends[1], top - ends[0])
        hu, (low, high) = _unwrap(stored) if wrapped else _rescaled(stored, ends, slope, intercept)
        repairs.append(Repair.INVERTED)
        if not _air_outside(hu):
            raise RefusedError(Reason.PHOTOMETRIC, "MONOCHROME1, and neither polarity shows air")
    if wrapped:
        repairs.append(Repair.WRAPAROUND)
    if low >= 0 or (high > HU_RANGE[1] and (hu > HU_RANGE[1]).mean() > 0.1):
        raise RefusedError(Reason.OUT_OF_RANGE, f"{low:g} to {high:g} HU")
    if low <= PADDING_BELOW:
        repairs.append(Repair.PADDING)
    if low < HU_RANGE[0] or high > HU_RANGE[1]:
        hu = np.clip(hu, *HU_RANGE)
    return hu.astype(np.int16, copy=False), tuple(repairs)


def _significant(
    stored: np.ndarray, bits: int, signed: bool
) -> tuple[np.ndarray, Ends, list[Repair]]:
    """The values of the stored bits; refuses one value everywhere and values that need more."""
    low, high, half = int(stored.min()), int(stored.max()), 2 ** (bits - 1)
    if low == high:
        raise RefusedError(Reason.EMPTY, f"every pixel is {low}")
    if signed and low >= 0 and half <= high < 2 * half:
        stored = np.where(stored >= half, stored - np.int32(2 * half), stored)
        return stored, _ends(stored), [Repair.SIGN]
    if high >= (half if signed else 2 * half) or low < -half:
        raise RefusedError(Reason.BIT_DEPTH, f"values {low} to {high} with BitsStored {bits}")
    return stored, (low, high), []


def _ends(values: np.ndarray) -> Ends:
    return int(values.min()), int(values.max())


def _unwrap(stored: np.ndarray) -> tuple[np.ndarray, Ends]:
    """HU modulo 4096 back to [-1000, 3096): the same as the rule in `refusal`'s table."""
    hu = (stored.astype(np.int32) + 1000) % 4096 - 1000
    return hu, _ends(hu)


def _rescaled(
    stored: np.ndarray, ends: Ends, slope: float, intercept: float
) -> tuple[np.ndarray, Ends]:
    """slope * stored + intercept, rounded; in int16 where that is exact, as it nearly always is.

    The ends are scaled rather than looked for again: the rule is monotone, rounding too.
    """
    low, high = sorted(float(np.rint(end * slope + intercept)) for end in ends)
    fits = min(ends[0], low) >= -(2**15) and max(ends[1], high) < 2**15
    if slope == 1 and intercept == int(intercept) and fits:
        same = stored.dtype.itemsize == 2  # then values below 2^15 need no copy
        stored = stored.view(np.int16) if same else stored.astype(np.int16)
        return stored + np.int16(intercept), (low, high)
    with np.errstate(over="ignore"):
        hu = np.rint(stored * np.float64(slope) + intercept)
    return hu, (low, high)


def _air_outside(hu: np.ndarray) -> bool:
    """Whether the picture's border is air or padding, as in any head CT."""
    return float(np.median(np.concatenate([hu[0], hu[-1], hu[:, 0], hu[:, -1]]))) < -200


def resize(hu: np.ndarray, size: int, spacing: tuple[float, float]) -> np.ndarray:
    """Area averaging to size x size square pixels; air beside what is not square.

    Args:
        hu: int16[rows, columns] in HU.
        size: side of the result, pixels.
        spacing: mm between rows and between columns; NaN takes pixels to be square.

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


def spacing_mm(header: Header) -> tuple[float, float]:
    """Pixel Spacing: mm between rows and between columns, NaN where missing, bad or not positive."""
    row, column = numbers(header, "PixelSpacing", 2)
    return (row, column) if 0 < row < np.inf and 0 < column < np.inf else (np.nan, np.nan)
