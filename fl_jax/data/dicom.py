"""A DICOM file becomes a slice in Hounsfield units, or a refusal with a named reason.

    HU = slope * stored + intercept,  clipped to [-1024, 3071],  then averaged down to size x size

Nothing is altered in silence. A file that breaks a rule of DICOM or of physics is refused; a file
with a known and reversible fault is repaired, and the slice says which repairs were made:

| `Repair` | what is wrong | what is done | source of the rule |
|---|---|---|---|
| WRAPAROUND | 12 bits, unsigned, intercept > -100, slope 1: such a file cannot hold air; its values are HU modulo 4096 | x += 1000; x[x >= 4096] -= 4096; intercept = -1000 | J. Howard, "Cleaning the data for rapid prototyping", RSNA 2019 challenge; used by the study |
| PADDING | values of -1200 HU or less (-1500, -2000, -3024): what scanners write outside their circle | clipped to -1024 HU, as air | PS3.3 C.7.5.1.1.2 (Pixel Padding Value) |
| SIGN | signed, BitsStored < 16, and the sign bit was not extended into the unused bits | extended | PS3.5 8.1.1 (unused bits carry no meaning) |
| INVERTED | MONOCHROME1 whose border is not air, but is once the values are inverted | stored values inverted within BitsStored | PS3.3 C.7.6.3.1.2 is about display only; writers that invert the values too exist |

Geometry: the field of view is kept, pixels become square. A picture that is rectangular, in pixels
or in mm, is scaled by its longer side and centred on air, never stretched or cropped. Pictures
shrink by area averaging (the study's bilinear 512 to 256 is the same thing at that factor) and grow,
where they are smaller than `size`, by bilinear interpolation. Orientation is left as stored.

References: DICOM PS3.3 C.7.6.2 (image plane), C.8.2.1 (CT image), C.11.1 (modality LUT); PS3.5 8.
"""  # noqa: E501 - a table

import enum
import io
import logging
import pathlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np
import pydicom
import pydicom.config
import pydicom.errors
import pydicom.uid
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder

HU_RANGE = (-1024, 3071)
"""What is stored, HU: the range of 12 bits with intercept -1024. Metal above it is clipped."""
AIR = -1000
"""HU beside a rectangular picture."""
PADDING_BELOW = -1200
"""HU at or under which a value is padding: air with any scanner's noise lies above."""


class Reason(enum.StrEnum):
    """Why a file is refused; the value is what tables and messages say."""

    UNREADABLE = "unreadable file"  # the operating system cannot open or read it
    NOT_DICOM = "not a DICOM image"  # no DICM marker, or a directory record (DICOMDIR)
    CORRUPT = "corrupt header or pixels"  # pydicom cannot decode an element or the pixel stream
    TRUNCATED = "truncated"  # fewer pixel bytes than Rows x Columns, or the header ends early
    NOT_CT = "not CT"  # another modality or SOP class
    COLOUR = "colour"  # more than one sample a pixel, or a palette
    LOCALIZER = "localizer"  # Image Type value 3: scout, topogram, surview
    DERIVED = "derived or secondary"  # Image Type DERIVED or SECONDARY; Secondary Capture
    MULTI_FRAME = "multi-frame"  # Number of Frames > 1, Enhanced CT, or pixels for several frames
    NOT_AXIAL = "not axial"  # the slice normal is more than 45 degrees off the body's axis
    BAD_GEOMETRY = "bad geometry"  # no orientation or position, or Rows x Columns does not fit
    PHOTOMETRIC = "photometric interpretation"  # missing, or MONOCHROME1 that cannot be resolved
    BIT_DEPTH = "bit depth"  # not 16 bits allocated, or values above BitsStored
    BAD_RESCALE = "missing or bad rescale"  # missing, not finite, slope 0, or not in HU
    COMPRESSED = "compressed without a decoder"  # no installed decoder for the transfer syntax
    EMPTY = "empty pixels"  # no PixelData, length 0, or one value everywhere
    OUT_OF_RANGE = "out-of-range HU"  # nothing below water, or a tenth of the picture above bone
    MISSING_IDENTIFIERS = "missing identifiers"  # no patient, study or series: cannot be grouped


class Repair(enum.StrEnum):
    """A reversible fault that was put right; the table is in the module's docstring."""

    WRAPAROUND = "12-bit wraparound"
    PADDING = "padding clipped to air"
    SIGN = "sign bit extended"
    INVERTED = "inverted MONOCHROME1"


class Dialect(NamedTuple):
    """How the file wrote its pixels, as stored; an empty string or NaN where it does not say."""

    bits_stored: int
    signed: bool
    slope: float
    intercept: float
    kernel: str
    manufacturer: str
    transfer_syntax: str


class Slice(NamedTuple):
    """One axial CT slice.

    Attributes:
        hu: int16[H, W] in HU, within `HU_RANGE`.
        image: the file's name without its suffix.
        patient: Patient ID.
        study: Study Instance UID; need not be a valid UID.
        series: Series Instance UID; need not be a valid UID.
        position: mm along the slice normal (Image Position dot normal); grows towards the head
            for the usual orientation.
        instance: Instance Number, -1 where it is missing.
        shape: rows and columns of the file, before resizing.
        spacing: mm between rows and between columns in the file, NaN where missing.
        thickness: Slice Thickness in mm, NaN where missing.
        tilt: Gantry/Detector Tilt in degrees, NaN where missing.
        dialect: how the pixels were written.
        repairs: what was put right.
    """

    hu: np.ndarray
    image: str
    patient: str
    study: str
    series: str
    position: float
    instance: int
    shape: tuple[int, int]
    spacing: tuple[float, float]
    thickness: float
    tilt: float
    dialect: Dialect
    repairs: tuple[Repair, ...]


class Refusal(NamedTuple):
    """Why a file is not a slice: the path or name, a reason to count, a detail to act on."""

    path: str
    reason: Reason
    detail: str


class _RefusedError(Exception):
    """Carries (reason, detail) out of a check; never leaves this module."""


CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DIRECTORY = "1.2.840.10008.1.3.10"
_TAGS = [
    *("SOPClassUID", "Modality", "ImageType", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "GantryDetectorTilt", "Manufacturer", "ConvolutionKernel"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelData"),
]


def read(
    source: str | pathlib.Path | bytes, *, size: int | None, name: str = ""
) -> Slice | Refusal:
    """Reads one CT slice.

    Guarantees:
        Never raises on account of what the file holds, never prints or logs, never invents a
        pixel. Values are the same whether pixels took the fast path or pydicom's decoder.

    Args:
        source: a path, or a file's bytes.
        size: side of the square picture, pixels; None keeps the file's own grid.
        name: what to call the image; by default the path's name without its suffix.

    Returns:
        A `Slice`, or a `Refusal` that says why there is none.

    Raises:
        ValueError: size is not positive.
    """
    if size is not None and size < 1:
        raise ValueError(f"size is {size}: give the picture's side in pixels, or None")
    if isinstance(source, bytes):
        shown = name or "bytes"
    else:
        shown, name = str(source), name or pathlib.Path(source).stem
        try:
            source = pathlib.Path(source).read_bytes()
        except OSError as error:
            return Refusal(shown, Reason.UNREADABLE, str(error))
    with _quiet():
        try:
            return _read(source, size, name)
        except _RefusedError as refused:
            return Refusal(shown, *refused.args)
        except Exception as error:  # pydicom raises whatever a broken element trips over
            return Refusal(shown, Reason.CORRUPT, f"{type(error).__name__}: {error}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences pydicom's complaints about values, which we judge ourselves, and only those."""
    log, settings = logging.getLogger("pydicom"), pydicom.config.settings
    level, mode = log.level, settings.reading_validation_mode
    log.setLevel(logging.CRITICAL + 1)
    settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        settings.reading_validation_mode = mode


def _read(data: bytes, size: int | None, name: str) -> Slice:
    try:
        header = pydicom.dcmread(io.BytesIO(data), specific_tags=_TAGS)
    except pydicom.errors.InvalidDicomError as error:
        raise _RefusedError(Reason.NOT_DICOM, "no DICM marker after 128 bytes") from error
    _check_kind(header)
    patient, study, series = (
        _text(header, key, Reason.MISSING_IDENTIFIERS)
        for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    )
    position = _position(header)
    slope, intercept = _rescale(header)
    stored = _stored_values(header)
    hu, repairs = _hounsfield(header, stored, slope, intercept)
    spacing = _numbers(header, "PixelSpacing", 2)
    instance = _numbers(header, "InstanceNumber", 1)[0]
    meta = getattr(header, "file_meta", {})
    return Slice(
        hu=hu if size is None else _resize(hu, size, spacing),
        image=name,
        patient=patient,
        study=study,
        series=series,
        position=position,
        instance=-1 if np.isnan(instance) else int(instance),
        shape=(hu.shape[0], hu.shape[1]),
        spacing=(spacing[0], spacing[1]),
        thickness=_numbers(header, "SliceThickness", 1)[0],
        tilt=_numbers(header, "GantryDetectorTilt", 1)[0],
        dialect=Dialect(
            bits_stored=int(header.BitsStored),
            signed=bool(header.PixelRepresentation),
            slope=slope,
            intercept=intercept,
            kernel=_text(header, "ConvolutionKernel"),
            manufacturer=_text(header, "Manufacturer"),
            transfer_syntax=str(meta.get("TransferSyntaxUID", "")),
        ),
        repairs=repairs,
    )


def _check_kind(header: pydicom.Dataset) -> None:
    """Refuses what is no single, original, axial CT picture in shades of grey."""
    meta = getattr(header, "file_meta", {})
    media = str(meta.get("MediaStorageSOPClassUID", ""))
    if media == DIRECTORY:
        raise _RefusedError(Reason.NOT_DICOM, "a DICOM directory (DICOMDIR)")
    modality, sop_class = _text(header, "Modality"), _text(header, "SOPClassUID") or media
    if not modality and "PixelData" not in header:
        raise _RefusedError(Reason.TRUNCATED, "the header ends before Modality and PixelData")
    if modality != "CT":
        raise _RefusedError(Reason.NOT_CT, f"Modality is {modality!r}")
    photometric = _text(header, "PhotometricInterpretation")
    if header.get("SamplesPerPixel", 1) != 1 or photometric.startswith(("RGB", "YBR", "PALETTE")):
        raise _RefusedError(Reason.COLOUR, f"PhotometricInterpretation is {photometric!r}")
    kind = [str(value).upper() for value in _values(header, "ImageType")]
    if "LOCALIZER" in kind[2:3]:
        raise _RefusedError(Reason.LOCALIZER, "ImageType is " + "\\".join(kind))
    if sop_class.startswith(SECONDARY_CAPTURE) or {"DERIVED", "SECONDARY"} & set(kind[:2]):
        raise _RefusedError(Reason.DERIVED, f"SOPClassUID {sop_class}, ImageType {kind}")
    if sop_class in ENHANCED_CT or int(header.get("NumberOfFrames") or 1) > 1:
        raise _RefusedError(Reason.MULTI_FRAME, f"NumberOfFrames {header.get('NumberOfFrames')}")
    if sop_class not in ("", CT_IMAGE):
        raise _RefusedError(Reason.NOT_CT, f"SOPClassUID is {sop_class}")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise _RefusedError(
            Reason.PHOTOMETRIC, f"PhotometricInterpretation is {photometric or 'missing'!r}"
        )


def _position(header: pydicom.Dataset) -> float:
    """Millimetres along the slice normal; refuses planes that are not axial."""
    orientation = np.array(_numbers(header, "ImageOrientationPatient", 6))
    corner = np.array(_numbers(header, "ImagePositionPatient", 3))
    if not (np.isfinite(orientation).all() and np.isfinite(corner).all()):
        raise _RefusedError(
            Reason.BAD_GEOMETRY, "ImageOrientationPatient or ImagePositionPatient missing or bad"
        )
    row, column = orientation[:3], orientation[3:]
    lengths = np.array([row @ row, column @ column])
    if np.abs(lengths - 1).max() > 0.02 or abs(row @ column) > 0.02:
        raise _RefusedError(
            Reason.BAD_GEOMETRY, f"ImageOrientationPatient {orientation} is not orthonormal"
        )
    normal = np.cross(row, column)
    if abs(normal[2]) < np.cos(np.pi / 4):
        raise _RefusedError(Reason.NOT_AXIAL, f"the slice normal is {np.round(normal, 3)}")
    return float(corner @ normal)


def _rescale(header: pydicom.Dataset) -> tuple[float, float]:
    """Slope and intercept that lead to HU; pydicom would go on without them, or with nan."""
    slope = _numbers(header, "RescaleSlope", 1)[0]
    intercept = _numbers(header, "RescaleIntercept", 1)[0]
    unit = _text(header, "RescaleType") or "HU"
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0 or unit != "HU":
        raise _RefusedError(
            Reason.BAD_RESCALE, f"RescaleSlope {slope}, RescaleIntercept {intercept}, unit {unit}"
        )
    return slope, intercept


def _stored_values(header: pydicom.Dataset) -> np.ndarray:
    """The pixels as stored, int32[rows, columns], from bytes whose number was checked."""
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    if rows < 1 or columns < 1:
        raise _RefusedError(Reason.BAD_GEOMETRY, f"Rows {rows} x Columns {columns}")
    allocated, bits = int(header.get("BitsAllocated") or 0), int(header.get("BitsStored") or 0)
    high = int(header.get("HighBit", bits - 1))
    signed = header.get("PixelRepresentation")
    if allocated != 16 or not 8 <= bits <= 16 or high != bits - 1 or signed not in (0, 1):
        raise _RefusedError(
            Reason.BIT_DEPTH,
            f"BitsAllocated {allocated}, BitsStored {bits}, HighBit {high}, signed {signed}",
        )
    data = header.get("PixelData")
    if not data:
        raise _RefusedError(Reason.EMPTY, "PixelData is missing or of length 0")
    syntax = getattr(header, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is not None and not syntax.is_transfer_syntax:
        raise _RefusedError(Reason.COMPRESSED, f"TransferSyntaxUID {syntax} is not known")
    if syntax is not None and syntax.is_encapsulated:
        return _decoded(header, syntax)
    need = 2 * rows * columns
    if len(data) < need:
        raise _RefusedError(Reason.TRUNCATED, f"{len(data)} of {need} pixel bytes")
    if len(data) >= 2 * need:
        raise _RefusedError(Reason.MULTI_FRAME, f"{len(data)} bytes for a frame of {need}")
    if len(data) > need:
        raise _RefusedError(
            Reason.BAD_GEOMETRY, f"{len(data)} pixel bytes, Rows x Columns need {need}"
        )
    little = header.original_encoding[1] is not False
    kind = ("<" if little else ">") + ("i2" if signed else "u2")
    return np.frombuffer(data, kind).reshape(rows, columns).astype(np.int32)


def _decoded(header: pydicom.Dataset, syntax: pydicom.uid.UID) -> np.ndarray:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise _RefusedError(Reason.COMPRESSED, f"{syntax.name}: unknown to pydicom") from error
    if not decoder.is_available:
        raise _RefusedError(Reason.COMPRESSED, f"{syntax.name}: install a pydicom decoder for it")
    pixels, _ = decoder.as_array(header, raw=True)
    if pixels.shape != (int(header.Rows), int(header.Columns)):
        raise _RefusedError(Reason.BAD_GEOMETRY, f"the pixels decode to {pixels.shape}")
    return pixels.astype(np.int32)


def _hounsfield(
    header: pydicom.Dataset, stored: np.ndarray, slope: float, intercept: float
) -> tuple[np.ndarray, tuple[Repair, ...]]:
    """Stored values to int16 HU within `HU_RANGE`, with the repairs that this took."""
    repairs = []
    bits, signed = int(header.BitsStored), bool(header.PixelRepresentation)
    low, high = int(stored.min()), int(stored.max())
    if low == high:
        raise _RefusedError(Reason.EMPTY, f"every pixel is {low}")
    if signed and low >= 0 and 2 ** (bits - 1) <= high < 2**bits and bits < 16:
        stored = np.where(stored >= 2 ** (bits - 1), stored - 2**bits, stored)
        repairs.append(Repair.SIGN)
    elif high >= 2 ** (bits - signed) or low < -(2 ** (bits - 1)):
        raise _RefusedError(Reason.BIT_DEPTH, f"values {low} to {high} with BitsStored {bits}")
    wrapped = bits == 12 and not signed and intercept > -100
    if wrapped and slope != 1:
        raise _RefusedError(
            Reason.BAD_RESCALE, f"unsigned 12 bits from {intercept} HU with slope {slope}: no air"
        )

    def to_hu(values: np.ndarray) -> np.ndarray:
        if wrapped:
            return (values + 1000) % 4096 - 1000
        if slope == 1 and intercept == int(intercept):
            return values + int(intercept)
        return np.rint(values * slope + intercept)

    hu = to_hu(stored)
    if _text(header, "PhotometricInterpretation") == "MONOCHROME1" and not _air_outside(hu):
        hu = to_hu((-1 if signed else 2**bits - 1) - stored)
        repairs.append(Repair.INVERTED)
        if not _air_outside(hu):
            raise _RefusedError(Reason.PHOTOMETRIC, "MONOCHROME1, and neither polarity shows air")
    if wrapped:
        repairs.append(Repair.WRAPAROUND)
    low, high = hu.min(), hu.max()
    if low >= 0 or (high > HU_RANGE[1] and (hu > HU_RANGE[1]).mean() > 0.1):
        raise _RefusedError(Reason.OUT_OF_RANGE, f"{low:g} to {high:g} HU")
    if low <= PADDING_BELOW:
        repairs.append(Repair.PADDING)
    return np.clip(hu, *HU_RANGE).astype(np.int16), tuple(repairs)


def _air_outside(hu: np.ndarray) -> bool:
    """Whether the picture's border is air or padding, as in any head CT."""
    return float(np.median(np.concatenate([hu[0], hu[-1], hu[:, 0], hu[:, -1]]))) < -200


def _resize(hu: np.ndarray, size: int, spacing: list[float]) -> np.ndarray:
    """Area averaging to size x size square pixels; air beside what is not square."""
    extent = np.array(hu.shape, float)
    if np.isfinite(spacing).all() and min(spacing) > 0:
        extent *= spacing
    rows, columns = np.maximum(1, np.rint(size * extent / extent.max())).astype(int)
    if (rows, columns) == hu.shape:
        small = hu
    else:
        shrinks = rows <= hu.shape[0] and columns <= hu.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(hu, (int(columns), int(rows)), interpolation=how))
    if rows == columns:
        return small
    square = np.full((size, size), AIR, np.int16)
    top, left = (size - rows) // 2, (size - columns) // 2
    square[top : top + rows, left : left + columns] = small
    return square


def _values(header: pydicom.Dataset, key: str) -> list:
    """An element's values; empty where it is missing or empty."""
    value = header.get(key)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue | list) else [value]


def _text(header: pydicom.Dataset, key: str, needed: Reason | None = None) -> str:
    text = "\\".join(str(value) for value in _values(header, key)).strip().strip("\0")
    if needed and not text:
        raise _RefusedError(needed, f"{key} is missing or empty")
    return text


def _numbers(header: pydicom.Dataset, key: str, count: int) -> list[float]:
    """`count` numbers, all NaN where the element is missing, short or no number."""
    try:
        values = [float(value) for value in _values(header, key)]
    except (TypeError, ValueError):
        values = []
    return values if len(values) == count else [float("nan")] * count
