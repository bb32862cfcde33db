"""A DICOM file of a CT slice without the person: what is not known to be needed is not copied.

After the Basic Application Level Confidentiality Profile (PS3.15, E.2), as far as an export for research
needs it. The profile lists what must go, in its table E.1-1, and a new edition lists more; this module lists
what may stay, so that whatever nobody thought of (private elements, sequences, overlays, comments) is gone.
None of `KEPT` is in that table (edition 2026c). The maintained libraries remove by the table (`deid`,
`dicom-anonymizer`, `dicognito`) and none derives pseudonyms from a key in a file; pydicom reads and writes.

| element | what becomes of it |
|---|---|
| `KEPT`: pixels and what describes them, the scanner's make and settings, position | copied byte by byte |
| a text of `KEPT` that holds a word of the patient's name, ID, accession number or birth date | emptied, counted |
| Patient ID and Name | `P` and 16 hexadecimal digits of HMAC-SHA256(key, Patient ID) |
| UIDs of study, series, image and frame of reference | `2.25.` and 128 bits of HMAC-SHA256(key, UID) |
| `EMPTIED`: birth date, sex, date and time of the study, accession number, referring physician, study's ID | empty |
| all others: dates, institution, operators, comments, sequences, private elements, overlays, the preamble | left out |

Dates are removed, not shifted: nothing here uses intervals between studies. The same key gives the same
pseudonyms, so patients, studies and series stay together over several exports; whoever has the key can repeat
them from an identifier, so it stays at the hospital.

What this cannot do: pixels are untouched, so text that was burned in stays where no element tells of it, and
a head in thin slices can be rendered as a face.
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
"""What a CT image must have (type 2), though it may be empty."""
IDENTIFYING = ("PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
METHOD = "fl_jax: allow-list after PS3.15 E.2; keyed pseudonyms; no dates"
WORD = 4
"""Letters and digits; a shorter word of a name or ID is too common to look for."""
KEY_BYTES = 32


class Reason(enum.StrEnum):
    """Why a file is not exported."""

    NOT_DICOM = "not a DICOM image"
    NOT_CT = "not a CT slice"  # another SOP class, e.g. a dose report, or a saved screen
    BURNED_IN = "burned-in annotation"  # Burned In Annotation is YES
    OVERLAY = "overlay in the pixels"  # graphics in the unused bits of the pixels, which stay
    MISSING_IDENTIFIERS = "missing identifiers"  # no patient, study, series or image: no pseudonym
    DAMAGED = "damaged"  # it cannot be read, or written again with the same pixels


class RefusedError(ValueError):
    """A file that is not exported, and why."""

    def __init__(self, reason: Reason):
        super().__init__(reason.value)
        self.reason = reason


class Anonymous(NamedTuple):
    """A file without the person.

    Attributes:
        data: its bytes.
        patient: the patient's pseudonym.
        series: the series' pseudonymous UID.
        image: the image's, its SOP Instance UID.
        cleared: keywords of texts that were emptied.
    """

    data: bytes
    patient: str
    series: str
    image: str
    cleared: tuple[str, ...]


def pseudonym(key: bytes, kind: str, value: str, digits: int = 16) -> str:
    """Hexadecimal digits of HMAC-SHA256(key, kind and value); other kinds are unrelated."""
    message = f"{kind}\0{value}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:digits]


def uid(key: bytes, value: str) -> str:
    """A UID in place of another: `2.25.` and 128 bits, as PS3.5 B.2 makes them of a UUID."""
    return f"2.25.{int(pseudonym(key, 'uid', value, 32), 16)}"


def deidentify(data: bytes, key: bytes) -> Anonymous:
    """Makes a file without the person.

    Guarantees:
        Pixel data and transfer syntax are those of the original, byte by byte; this is checked. The same
        bytes and key give the same bytes.

    Args:
        data: a DICOM file.
        key: secret, at least `KEY_BYTES` bytes.

    Returns:
        The new file and its pseudonyms.

    Raises:
        RefusedError: a file that must not or cannot be exported.
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
        except Exception as error:  # pydicom raises whatever a broken element trips over
            raise RefusedError(Reason.DAMAGED) from error


def _deidentify(original: pydicom.FileDataset, key: bytes) -> Anonymous:
    _check(original)
    made, words = pydicom.Dataset(), _words(original)
    cleared = []
    for keyword in KEPT:
        tag = Tag(tag_for_keyword(keyword) or 0)
        if tag not in original:
            continue
        if dictionary_VR(tag) in ("CS", "LO", "SH") and _split(original[tag].value) & words:
            setattr(made, keyword, "")
            cleared.append(keyword)
        else:
            made[tag] = original.get_item(tag)  # unconverted, as it stands in the file
    for keyword in EMPTIED:
        setattr(made, keyword, "")
    patient = "P" + pseudonym(key, "patient", str(original.PatientID).strip())
    made.PatientID = made.PatientName = patient
    for keyword in (*UIDS, "FrameOfReferenceUID"):
        if original.get(keyword):
            setattr(made, keyword, uid(key, str(original[keyword].value).strip()))
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = METHOD
    made.LongitudinalTemporalInformationModified = "REMOVED"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
    made.file_meta.MediaStorageSOPClassUID = UID(CT_IMAGE)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    written = io.BytesIO()
    pydicom.dcmwrite(written, made, enforce_file_format=True)
    _same_pixels(original, written.getvalue())
    uids = str(made.SeriesInstanceUID), str(made.SOPInstanceUID)
    return Anonymous(written.getvalue(), patient, *uids, tuple(cleared))


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
    found = set()
    for keyword in IDENTIFYING:
        found |= _split(original.get(keyword))
    return found


def _split(value: object) -> set[str]:
    """The words of a value, or of its values, of at least `WORD` letters and digits."""
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
