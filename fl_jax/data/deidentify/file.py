"""De-identifies a DICOM file of a CT slice by an allow-list of elements.

Follows the Basic Application Level Confidentiality Profile (PS3.15, E.2) as far as research exports need it. The
profile lists elements to remove (table E.1-1), and each edition adds more. This module lists elements to keep
and drops all others: private elements, sequences, overlays, comments and anything unforeseen. None of `KEPT` is in
that table (edition 2026c). Maintained libraries (`deid`, `dicom-anonymizer`, `dicognito`) remove by the table,
and none derives pseudonyms from a key file.

| element | outcome |
|---|---|
| `KEPT`: pixels and what describes them, the scanner's make and settings, position | copied byte by byte |
| a text of `KEPT` that contains a word of the patient's name, ID, accession number or birth date | emptied, counted |
| Patient ID and Name | `P` and 16 hexadecimal digits of HMAC-SHA256(key, Patient ID) |
| UIDs of study, series, image and frame of reference | `2.25.` and 128 bits of HMAC-SHA256(key, UID) |
| `EMPTIED`: birth date, sex, date and time of the study, accession number, referring physician, study's ID | empty |
| all others: dates, institution, operators, comments, sequences, private elements, overlays, the preamble | left out |

Dates are removed, not shifted: nothing here uses intervals between studies. Equal keys give equal pseudonyms, so
patients, studies and series stay together across exports. Anybody with the key can recompute a pseudonym from an
identifier, so the key stays at the hospital.

Limits: pixels are unchanged. Burned-in text remains if no element declares it, and thin slices of a head can be
rendered as a face.
"""  # noqa: E501 - a table

import enum
import hashlib
import hmac
import io
import re
from collections.abc import MutableSequence
from typing import Any, NamedTuple

import pydicom
import pydicom.errors
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID

from fl_jax.data.dicom.parse import quiet
from fl_jax.data.dicom.read import CT_IMAGE

KEPT = (
    *("SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "Manufacturer"),
    *("ManufacturerModelName", "BodyPartExamined", "ScanOptions", "SliceThickness", "KVP"),
    *("SpacingBetweenSlices", "DataCollectionDiameter", "ReconstructionDiameter"),
    *("DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight"),
    *("RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "FilterType"),
    *("GeneratorPower", "FocalSpots", "ConvolutionKernel", "PatientPosition"),
    *("SingleCollimationWidth", "TotalCollimationWidth", "SpiralPitchFactor", "RevolutionTime"),
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient"),
    *("ImageOrientationPatient", "SliceLocation", "SamplesPerPixel", "PhotometricInterpretation"),
    *("NumberOfFrames", "Rows", "Columns", "PixelSpacing", "PixelAspectRatio", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "SmallestImagePixelValue"),
    *("LargestImagePixelValue", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("BurnedInAnnotation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
    *("RescaleType", "LossyImageCompression", "LossyImageCompressionRatio"),
    *("LossyImageCompressionMethod", "PixelData"),
)
EMPTIED = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID"),
)
"""Elements that a CT image must have (type 2), possibly empty."""
IDENTIFYING = ("PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
METHOD = "fl_jax: allow-list after PS3.15 E.2; keyed pseudonyms; no dates"
WORD = 4
"""Minimum length of a word of a name or ID that is searched in texts."""
KEY_BYTES = 32


class Reason(enum.StrEnum):
    """Why a file is not exported."""

    NOT_DICOM = "not a DICOM image"
    NOT_CT = "not a CT slice"  # another SOP class, e.g. a dose report, or a screen capture
    BURNED_IN = "burned-in annotation"  # Burned In Annotation is YES
    OVERLAY = "overlay in the pixels"  # graphics in unused bits of the pixels, which are copied
    MISSING_IDENTIFIERS = "missing identifiers"  # no patient, study, series or image: no pseudonym
    DAMAGED = "damaged"  # cannot be read, or written with the same pixels


class RefusedError(ValueError):
    """A file is not exported, for a `Reason`."""

    def __init__(self, reason: Reason):
        super().__init__(reason.value)
        self.reason = reason


class Deidentified(NamedTuple):
    """A de-identified file.

    Attributes:
        data: the file's bytes.
        patient: the patient's pseudonym.
        series: the series' pseudonymous UID.
        image: the image's pseudonymous SOP Instance UID.
        cleared: keywords of texts that were emptied.
    """

    data: bytes
    patient: str
    series: str
    image: str
    cleared: tuple[str, ...]


def pseudonym(key: bytes, kind: str, value: str, digits: int = 16) -> str:
    """Hexadecimal digits of HMAC-SHA256(key, kind and value); kinds are independent."""
    message = f"{kind}\0{value}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:digits]


def uid(key: bytes, value: str) -> str:
    """A pseudonymous UID: `2.25.` and 128 bits, as PS3.5 B.2 derives them from a UUID."""
    return f"2.25.{int(pseudonym(key, 'uid', value, 32), 16)}"


def deidentify(data: bytes, key: bytes) -> Deidentified:
    """De-identifies a file.

    Guarantees:
        Pixel data and transfer syntax equal the original's byte by byte, which is checked. Equal bytes and
        key give equal bytes.

    Args:
        data: a DICOM file.
        key: secret, at least `KEY_BYTES` bytes.

    Returns:
        The new file and its pseudonyms.

    Raises:
        RefusedError: the file must not or cannot be exported.
        ValueError: a short key.
    """
    if len(key) < KEY_BYTES:
        raise ValueError(f"key has {len(key)} bytes: give at least {KEY_BYTES}")
    with quiet():
        try:
            return _deidentify(pydicom.dcmread(io.BytesIO(data)), key)
        except RefusedError:
            raise
        except pydicom.errors.InvalidDicomError as error:
            raise RefusedError(Reason.NOT_DICOM) from error
        except Exception as error:  # pydicom raises arbitrary errors on broken elements
            raise RefusedError(Reason.DAMAGED) from error


def _deidentify(original: pydicom.FileDataset, key: bytes) -> Deidentified:
    _check(original)
    output, words = pydicom.Dataset(), _words(original)
    cleared = []
    for keyword in KEPT:
        tag = Tag(tag_for_keyword(keyword) or 0)
        if tag not in original:
            continue
        if dictionary_VR(tag) in ("CS", "LO", "SH") and _split(original[tag].value) & words:
            setattr(output, keyword, "")
            cleared.append(keyword)
        else:
            output[tag] = original.get_item(tag)  # unconverted bytes
    for keyword in EMPTIED:
        setattr(output, keyword, "")
    patient = "P" + pseudonym(key, "patient", str(original.PatientID).strip())
    output.PatientID = output.PatientName = patient
    for keyword in (*UIDS, "FrameOfReferenceUID"):
        if original.get(keyword):
            setattr(output, keyword, uid(key, str(original[keyword].value).strip()))
    output.PatientIdentityRemoved = "YES"
    output.DeidentificationMethod = METHOD
    output.LongitudinalTemporalInformationModified = "REMOVED"
    output.file_meta = FileMetaDataset()
    output.file_meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
    output.file_meta.MediaStorageSOPClassUID = UID(CT_IMAGE)
    output.file_meta.MediaStorageSOPInstanceUID = output.SOPInstanceUID
    written = io.BytesIO()
    pydicom.dcmwrite(written, output, enforce_file_format=True)
    _same_pixels(original, written.getvalue())
    uids = str(output.SeriesInstanceUID), str(output.SOPInstanceUID)
    return Deidentified(written.getvalue(), patient, *uids, tuple(cleared))


def _check(original: pydicom.FileDataset) -> None:
    if str(original.get("SOPClassUID", "")) != CT_IMAGE or "PixelData" not in original:
        raise RefusedError(Reason.NOT_CT)
    if {"SECONDARY", "SCREEN SAVE"} & {str(value).upper() for value in original.ImageType}:
        raise RefusedError(Reason.NOT_CT)
    if str(original.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        raise RefusedError(Reason.BURNED_IN)
    tags: list[Any] = [*original.keys()]
    overlays = {tag.group for tag in tags if 0x6000 <= tag.group <= 0x601E}
    if any(Tag(group, 0x3000) not in original for group in overlays):
        raise RefusedError(Reason.OVERLAY)
    for keyword in ("PatientID", *UIDS):
        if not str(original.get(keyword) or "").strip():
            raise RefusedError(Reason.MISSING_IDENTIFIERS)


def _words(original: pydicom.Dataset) -> set[str]:
    return set().union(*(_split(original.get(keyword)) for keyword in IDENTIFYING))


def _split(value: object) -> set[str]:
    """Words of at least `WORD` letters and digits in a value or its several values."""
    texts = value if isinstance(value, MutableSequence) else [value]
    words = (re.findall(r"[^\W_]+", str(text).casefold()) for text in texts)
    return {word for some in words for word in some if len(word) >= WORD}


def _same_pixels(original: pydicom.FileDataset, written: bytes) -> None:
    again = pydicom.dcmread(io.BytesIO(written))
    if (
        again.get_item("PixelData").value != original.get_item("PixelData").value
        or again.file_meta.TransferSyntaxUID != original.file_meta.TransferSyntaxUID
    ):
        raise RefusedError(Reason.DAMAGED)
