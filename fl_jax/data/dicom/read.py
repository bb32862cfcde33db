"""`read` turns one file into an axial CT slice in HU with its identifiers, or refuses it."""

import math
import os
import pathlib
import re
import traceback
from typing import NamedTuple

import numpy as np

from fl_jax.data import duplicates
from fl_jax.data.dicom import bounds, parse
from fl_jax.data.dicom.header import Header, device_text, integer, numbers, text
from fl_jax.data.dicom.hounsfield import hounsfield, resize
from fl_jax.data.dicom.pixels import stored_values
from fl_jax.data.dicom.plane import image_plane
from fl_jax.data.dicom.refusal import (
    ALL_REPAIRS,
    Reason,
    Refusal,
    RefusedError,
    Repair,
    shown,
)
from fl_jax.data.dicom.resample import MIDDLE, SMALLEST, Centre, check_spacing, resample
from fl_jax.data.head import Head, measure
from fl_jax.data.pseudonyms import without_id
from fl_jax.files.regular import open_read
from fl_jax.files.text import printable

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
LONGEST = 256
"""Maximum length of an identifier; DICOM allows 64 (PS3.5, 6.2)."""
BEGINNING = 2**16
"""Bytes in which a header's Patient ID lies: elements ascend, and few come before it."""
DIRECTORY = "1.2.840.10008.1.3.10"
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
"""Unicode's control characters, category Cc."""


class Dialect(NamedTuple):
    """How a file encodes its pixels; empty strings for missing elements."""

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
        hu: int16[H, W] in HU, within `HU_RANGE`; radiological, see `plane`.
        image: file name without suffix.
        patient: Patient ID.
        study: Study Instance UID; not necessarily a valid UID.
        series: Series Instance UID; not necessarily a valid UID.
        normal: unit vector towards the head.
        position: mm along the normal, increasing towards the head; see `plane`.
        instance: Instance Number, -1 if missing or not within 32 bits, as the standard has it.
        shape: rows and columns of the turned picture, before resizing.
        spacing: mm between its rows and between its columns, NaN if missing.
        thickness: Slice Thickness in mm, NaN if missing.
        tilt: Gantry/Detector Tilt in degrees, NaN if missing.
        dialect: how the file encodes its pixels.
        repairs: the repairs applied.
        head: what the picture shows of the head, before resizing.
        centre: of `hu`, mm from the picture's centre; (0, 0) unless resampled, see `resample`.
        digest: of the picture, whatever it is centred on, see `duplicates`; empty on the file's grid.
    """

    hu: np.ndarray
    image: str
    patient: str
    study: str
    series: str
    normal: tuple[float, float, float]
    position: float
    instance: int
    shape: tuple[int, int]
    spacing: tuple[float, float]
    thickness: float
    tilt: float
    dialect: Dialect
    repairs: tuple[Repair, ...]
    head: Head
    centre: Centre
    digest: bytes


def read(
    source: str | pathlib.Path | bytes,
    *,
    size: int | None,
    name: str = "",
    repairs: frozenset[Repair] = ALL_REPAIRS,
    spacing_mm: float = 0.0,
    centre: Centre | None = None,
) -> Slice | Refusal:
    """Reads one CT slice.

    Guarantees:
        Raises for no file content, prints and logs nothing, invents no pixel. Uncompressed pixels have the
        values of pydicom's `pixel_array` and rescale.

    Args:
        source: a path, or a file's bytes.
        size: side of the square picture in pixels; None keeps the file's grid.
        name: the image's name; by default the file name without suffix.
        repairs: permitted repairs; a file that needs another one is refused.
        spacing_mm: mm a pixel, see `resample`; 0 fits the whole field of view into `size`.
        centre: with `spacing_mm`, of the result; None centres on the slice's skull.

    Returns:
        A `Slice`, or a `Refusal` with the reason.

    Raises:
        ValueError: size is not positive.
    """
    if size is not None and size < 1:
        raise ValueError(f"size is {size}: give the picture's side in pixels, or None")
    if isinstance(source, bytes):
        path, data = name or "bytes", source
    else:
        path, name = str(source), name or pathlib.Path(source).stem
        try:
            data = _bytes(source)
        except OSError as error:
            return Refusal(path, Reason.UNREADABLE, error.strerror or type(error).__name__)
        except RefusedError as refused:
            return Refusal(path, refused.reason, refused.detail)
    header = None
    try:
        bounds.check("bytes of the file", len(data), bounds.LARGEST_FILE)
        header = parse.parse(data)
        return _read(header, size, name, repairs, spacing_mm, centre)
    except RefusedError as refused:
        reason, detail = refused.reason, printable(refused.detail)
    except Exception as error:  # pydicom raises arbitrary errors, and they quote values
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = Reason.CORRUPT
        detail = (
            f"{type(error).__name__} at {pathlib.Path(place.filename).name}, line {place.lineno}"
        )
    return Refusal(_without_id(path, header), reason, detail)


def patient_id(path: str | pathlib.Path) -> str:
    """Patient ID of a file of which only the beginning is read; empty where that does not suffice."""
    try:
        with open_read(path, checked=True) as file:
            data = file.read(BEGINNING)
    except (OSError, ValueError):  # `read` says what is wrong with it
        return ""
    return parse.patient_id(data)


def _bytes(path: str | pathlib.Path) -> bytes:
    """Reads a regular file, which must not change meanwhile."""
    try:
        file = open_read(path, checked=True)
    except ValueError as error:
        raise RefusedError(Reason.UNREADABLE, "is a folder, device, pipe or socket") from error
    with file:
        before = os.fstat(file.fileno())
        bounds.check("bytes of the file", before.st_size, bounds.LARGEST_FILE)
        data = os.read(file.fileno(), before.st_size + 1)
        after = os.fstat(file.fileno())
    same = before.st_size == len(data) == after.st_size
    if not same or before.st_mtime_ns != after.st_mtime_ns:
        raise RefusedError(Reason.UNREADABLE, "changed while it was read")
    return data


def _without_id(path: str, header: Header | None) -> str:
    """The path without the Patient ID, as far as the header can be read."""
    try:
        return path if header is None else without_id(path, text(header, "PatientID"))
    except (RefusedError, UnicodeDecodeError):
        return path


def _read(
    header: Header,
    size: int | None,
    name: str,
    allowed: frozenset[Repair],
    mm: float,
    centre: Centre | None,
) -> Slice:
    _check_kind(header)
    patient, study, series = (
        _identifier(header, key) for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    )
    plane = image_plane(header)
    slope, intercept = _rescale(header)
    stored, completed = stored_values(header)
    hu, repairs = hounsfield(header, stored, slope, intercept)
    repairs = completed + repairs + (Repair.TURNED,) * plane.turned
    for repair in repairs:
        if repair not in allowed:
            raise RefusedError(Reason.REPAIR_OFF, f"needs {repair.name}: {repair.value}")
    hu = plane.radiological(hu)
    instance = numbers(header, "InstanceNumber", 1)[0]
    shape, head = (hu.shape[0], hu.shape[1]), measure(hu, plane.spacing)
    if mm:
        check_spacing(shape, plane.spacing)
        seen = head.skull_area >= SMALLEST
        centre = centre or (Centre(head.skull_row, head.skull_column) if seen else MIDDLE)
    else:
        centre = MIDDLE
    picture, digest = hu, b""
    if size is not None:
        picture = resize(hu, size, plane.spacing)
        digest = duplicates.digest(picture)
        if mm:
            picture = resample(hu, size, plane.spacing, mm, centre)
    return Slice(
        hu=picture,
        image=name,
        patient=patient,
        study=study,
        series=series,
        normal=plane.normal,
        position=plane.position,
        instance=int(instance) if abs(instance) < 2**31 else -1,
        shape=shape,
        spacing=plane.spacing,
        thickness=_thickness(header),
        tilt=_tilt(header),
        dialect=Dialect(
            bits_stored=integer(header, "BitsStored"),
            signed=bool(integer(header, "PixelRepresentation")),
            slope=slope,
            intercept=intercept,
            kernel=device_text(header, "ConvolutionKernel"),
            manufacturer=device_text(header, "Manufacturer"),
            transfer_syntax=header.syntax or "",
        ),
        repairs=repairs,
        head=head,
        centre=centre,
        digest=digest,
    )


def _identifier(header: Header, keyword: str) -> str:
    value = text(header, keyword)
    if not value:
        raise RefusedError(Reason.MISSING_IDENTIFIERS, f"{keyword} is missing or empty")
    if len(value) > LONGEST:
        raise RefusedError(
            Reason.CORRUPT, f"{keyword} has {len(value)} characters, more than {LONGEST}"
        )
    if _CONTROL.search(value):
        raise RefusedError(
            Reason.CORRUPT, f"{keyword} has control characters; it has {len(value)} characters"
        )
    return value


def _thickness(header: Header) -> float:
    """Slice Thickness in mm; NaN if missing, malformed or not positive."""
    value = numbers(header, "SliceThickness", 1)[0]
    return value if 0 < value < math.inf else math.nan


def _tilt(header: Header) -> float:
    """Gantry/Detector Tilt in degrees; NaN if missing, malformed or beyond 90."""
    value = numbers(header, "GantryDetectorTilt", 1)[0]
    return value if abs(value) <= 90 else math.nan


def _check_kind(header: Header) -> None:
    """Refuses everything except a single, original CT picture in grey levels."""
    if header.media == DIRECTORY:
        raise RefusedError(Reason.NOT_DICOM, "a DICOM directory (DICOMDIR)")
    modality, sop_class = text(header, "Modality"), text(header, "SOPClassUID") or header.media
    if not modality and "PixelData" not in header.values:
        raise RefusedError(Reason.TRUNCATED, "the header ends before Modality and PixelData")
    if modality != "CT":
        raise RefusedError(Reason.NOT_CT, f"Modality is {shown(modality)}")
    photometric = text(header, "PhotometricInterpretation")
    samples = integer(header, "SamplesPerPixel", 1)
    if samples != 1 or photometric.startswith(("RGB", "YBR", "PALETTE")):
        raise RefusedError(Reason.COLOUR, f"{samples} samples a pixel, {shown(photometric)}")
    image_type = text(header, "ImageType").upper()
    kind = [value.strip() for value in image_type.split("\\")]
    frames = numbers(header, "NumberOfFrames", 1)[0]
    reason = None
    if "LOCALIZER" in kind[2:3]:
        reason = Reason.LOCALIZER
    elif sop_class.startswith(SECONDARY_CAPTURE) or {"DERIVED", "SECONDARY"} & set(kind[:2]):
        reason = Reason.DERIVED
    elif sop_class in ENHANCED_CT or frames > 1:
        reason = Reason.MULTI_FRAME
    elif sop_class not in ("", CT_IMAGE):
        reason = Reason.NOT_CT
    if reason is not None:
        stored = f"SOPClassUID {shown(sop_class)}, ImageType {shown(image_type)}"
        raise RefusedError(reason, f"{stored}, {frames:g} frames" if frames > 1 else stored)
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise RefusedError(Reason.PHOTOMETRIC, f"PhotometricInterpretation is {shown(photometric)}")


def _rescale(header: Header) -> tuple[float, float]:
    """Slope and intercept to HU; pydicom accepts missing values and NaN."""
    if header.values.get("ModalityLUTSequence", b"") != b"":
        raise RefusedError(Reason.BAD_RESCALE, "a Modality LUT instead of slope and intercept")
    slope = numbers(header, "RescaleSlope", 1)[0]
    intercept = numbers(header, "RescaleIntercept", 1)[0]
    unit = text(header, "RescaleType") or "HU"
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope <= 0 or unit != "HU":
        raise RefusedError(
            Reason.BAD_RESCALE,
            f"RescaleSlope {slope}, RescaleIntercept {intercept}, unit {shown(unit)}",
        )
    return slope, intercept
