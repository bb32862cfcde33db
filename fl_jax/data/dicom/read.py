"""`read` tells whether a file is one axial CT slice, and gives it in HU with its identifiers."""

import math
import pathlib
from typing import NamedTuple

import numpy as np

from fl_jax.data.dicom.header import Header, integer, numbers, text
from fl_jax.data.dicom.hounsfield import hounsfield, resize, spacing_mm, stored_values
from fl_jax.data.dicom.parse import parse
from fl_jax.data.dicom.refusal import ALL_REPAIRS, Reason, Refusal, RefusedError, Repair
from fl_jax.files.text import printable

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
LONGEST = 256
"""Characters of an identifier; DICOM allows 64 (PS3.5, 6.2)."""
DIRECTORY = "1.2.840.10008.1.3.10"


class Dialect(NamedTuple):
    """How the file wrote its pixels; an empty string where it does not say."""

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
        spacing: mm between rows and between columns of the file, NaN where missing.
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


def read(
    source: str | pathlib.Path | bytes,
    *,
    size: int | None,
    name: str = "",
    repairs: frozenset[Repair] = ALL_REPAIRS,
) -> Slice | Refusal:
    """Reads one CT slice.

    Guarantees:
        Never raises on account of what the file holds, never prints or logs, never invents a pixel.
        Uncompressed pixels have the values that pydicom's `pixel_array` and rescale would give.

    Args:
        source: a path, or a file's bytes.
        size: side of the square picture, pixels; None keeps the file's own grid.
        name: what to call the image; by default the path's name without its suffix.
        repairs: what may be put right; a file that needs another repair is refused.

    Returns:
        A `Slice`, or a `Refusal` that says why there is none.

    Raises:
        ValueError: size is not positive.
    """
    if size is not None and size < 1:
        raise ValueError(f"size is {size}: give the picture's side in pixels, or None")
    if isinstance(source, bytes):
        shown, data = name or "bytes", source
    else:
        shown, name = str(source), name or pathlib.Path(source).stem
        try:
            data = pathlib.Path(source).read_bytes()
        except OSError as error:
            return Refusal(shown, Reason.UNREADABLE, str(error))
    try:
        return _read(data, size, name, repairs)
    except RefusedError as refused:
        return Refusal(shown, refused.reason, printable(refused.detail))
    except Exception as error:  # pydicom raises whatever a broken element trips over
        return Refusal(shown, Reason.CORRUPT, printable(f"{type(error).__name__}: {error}"))


def _read(data: bytes, size: int | None, name: str, allowed: frozenset[Repair]) -> Slice:
    header = parse(data)
    _check_kind(header)
    patient, study, series = (
        _identifier(header, key) for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    )
    position = _position(header)
    slope, intercept = _rescale(header)
    stored, completed = stored_values(header)
    hu, repairs = hounsfield(header, stored, slope, intercept)
    repairs = completed + repairs
    for repair in repairs:
        if repair not in allowed:
            raise RefusedError(Reason.REPAIR_OFF, f"needs {repair.name}: {repair.value}")
    spacing = spacing_mm(header)
    instance = numbers(header, "InstanceNumber", 1)[0]
    return Slice(
        hu=hu if size is None else resize(hu, size, spacing),
        image=name,
        patient=patient,
        study=study,
        series=series,
        position=position,
        instance=int(instance) if math.isfinite(instance) else -1,
        shape=(hu.shape[0], hu.shape[1]),
        spacing=spacing,
        thickness=_thickness(header),
        tilt=_tilt(header),
        dialect=Dialect(
            bits_stored=integer(header, "BitsStored"),
            signed=bool(integer(header, "PixelRepresentation")),
            slope=slope,
            intercept=intercept,
            kernel=text(header, "ConvolutionKernel"),
            manufacturer=text(header, "Manufacturer"),
            transfer_syntax=header.syntax or "",
        ),
        repairs=repairs,
    )


def _identifier(header: Header, keyword: str) -> str:
    value = text(header, keyword)
    if not value:
        raise RefusedError(Reason.MISSING_IDENTIFIERS, f"{keyword} is missing or empty")
    if len(value) > LONGEST or not value.isprintable():
        raise RefusedError(
            Reason.CORRUPT, f"{keyword} has {len(value)} characters, or control characters: {value}"
        )
    return value


def _thickness(header: Header) -> float:
    """Slice Thickness in mm, NaN where missing, bad or not positive."""
    value = numbers(header, "SliceThickness", 1)[0]
    return value if 0 < value < math.inf else math.nan


def _tilt(header: Header) -> float:
    """Gantry/Detector Tilt in degrees, NaN where missing, bad or beyond a quarter turn."""
    value = numbers(header, "GantryDetectorTilt", 1)[0]
    return value if abs(value) <= 90 else math.nan


def _check_kind(header: Header) -> None:
    """Refuses what is no single, original CT picture in shades of grey."""
    if header.media == DIRECTORY:
        raise RefusedError(Reason.NOT_DICOM, "a DICOM directory (DICOMDIR)")
    modality, sop_class = text(header, "Modality"), text(header, "SOPClassUID") or header.media
    if not modality and "PixelData" not in header.values:
        raise RefusedError(Reason.TRUNCATED, "the header ends before Modality and PixelData")
    if modality != "CT":
        raise RefusedError(Reason.NOT_CT, f"Modality is {modality!r}")
    photometric = text(header, "PhotometricInterpretation")
    samples = integer(header, "SamplesPerPixel", 1)
    if samples != 1 or photometric.startswith(("RGB", "YBR", "PALETTE")):
        raise RefusedError(Reason.COLOUR, f"{samples} samples a pixel, {photometric!r}")
    kind = [value.strip() for value in text(header, "ImageType").upper().split("\\")]
    if "LOCALIZER" in kind[2:3]:
        raise RefusedError(Reason.LOCALIZER, "ImageType is " + "\\".join(kind))
    if sop_class.startswith(SECONDARY_CAPTURE) or {"DERIVED", "SECONDARY"} & set(kind[:2]):
        raise RefusedError(Reason.DERIVED, f"SOPClassUID {sop_class}, ImageType " + "\\".join(kind))
    frames = numbers(header, "NumberOfFrames", 1)[0]
    if sop_class in ENHANCED_CT or frames > 1:
        raise RefusedError(Reason.MULTI_FRAME, f"SOPClassUID {sop_class}, {frames:g} frames")
    if sop_class not in ("", CT_IMAGE):
        raise RefusedError(Reason.NOT_CT, f"SOPClassUID is {sop_class}")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise RefusedError(
            Reason.PHOTOMETRIC, f"PhotometricInterpretation is {photometric or 'missing'!r}"
        )


def _position(header: Header) -> float:
    """Millimetres along the slice normal; refuses planes that are not axial."""
    orientation = numbers(header, "ImageOrientationPatient", 6)
    corner = numbers(header, "ImagePositionPatient", 3)
    if not all(map(math.isfinite, orientation + corner)):
        raise RefusedError(
            Reason.BAD_GEOMETRY, "ImageOrientationPatient or ImagePositionPatient missing or bad"
        )
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    errors = (a * a + b * b + c * c - 1, d * d + e * e + f * f - 1, a * d + b * e + c * f)
    if max(map(abs, errors)) > 0.02:
        raise RefusedError(
            Reason.BAD_GEOMETRY, f"ImageOrientationPatient {orientation} is not orthonormal"
        )
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    if abs(normal[2]) < math.cos(math.pi / 4):
        raise RefusedError(
            Reason.NOT_AXIAL, "the slice normal is ({:.2f} {:.2f} {:.2f})".format(*normal)
        )
    return sum(x * n for x, n in zip(corner, normal, strict=True))


def _rescale(header: Header) -> tuple[float, float]:
    """Slope and intercept that lead to HU; pydicom would go on without them, or with nan."""
    slope = numbers(header, "RescaleSlope", 1)[0]
    intercept = numbers(header, "RescaleIntercept", 1)[0]
    unit = text(header, "RescaleType") or "HU"
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0 or unit != "HU":
        raise RefusedError(
            Reason.BAD_RESCALE, f"RescaleSlope {slope}, RescaleIntercept {intercept}, unit {unit}"
        )
    return slope, intercept
