"""De-identifies a DICOM file of a CT slice by an allow-list of elements.

Follows the Basic Application Level Confidentiality Profile (PS3.15, E.2) as far as research exports need it. The
profile lists elements to remove (table E.1-1), and each edition adds more. This module lists elements to keep
and drops all others: private elements, sequences, overlays, comments and anything unforeseen. None of `KEPT` is in
that table (edition 2026c). Maintained libraries (`deid`, `dicom-anonymizer`, `dicognito`) remove by the table,
and none derives pseudonyms from a key file.

| element | outcome |
|---|---|
| `KEPT`: pixels and what describes them, the scanner's make and settings, position | copied; pixels and numbers byte by byte |
| a value of `KEPT` that its VR forbids, or a text that contains a person's name or a value of `IDS` | emptied, counted |
| Patient ID and Name | `P` and 16 hexadecimal digits of HMAC-SHA256(key, Patient ID) |
| UIDs of study, series, image and frame of reference | `2.25.` and 128 bits of HMAC-SHA256(key, UID) |
| `EMPTIED`: birth date, sex, date and time of the study, accession number, referring physician, study's ID | empty |
| all others: dates, institution, operators, comments, sequences, private elements, overlays, the preamble | left out |

Dates are removed, not shifted: nothing here uses intervals between studies. Equal keys give equal pseudonyms, so
patients, studies and series stay together across exports. Anybody with the key can recompute a pseudonym from an
identifier, so the key stays at the hospital.

Limits: pixels are unchanged. Burned-in text remains if no element declares it, and thin slices of a head can be
rendered as a face. Of comments inside a compressed stream, only those with a word of a name or ID are refused.
"""  # noqa: E501 - a table

import enum
import hashlib
import hmac
import io
import math
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pydicom
import pydicom.errors
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from fl_jax.data.dicom.character_sets import decoded
from fl_jax.data.dicom.parse import character_set, quiet
from fl_jax.data.dicom.read import CT_IMAGE

KEPT = (
    *("ImageType", "SOPClassUID", "Modality", "Manufacturer"),
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
PERSONS = (
    *("PatientName", "PatientBirthName", "OtherPatientNames", "PatientMotherBirthName"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "RequestingPhysician"),
    *("NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "ResponsiblePerson"),
)
IDS = (
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate", "StudyDate"),
    *("InstitutionName", "PatientAddress", "DeviceSerialNumber", "StudyID"),
)
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
METHOD = "fl_jax: allow-list after PS3.15 E.2; keyed pseudonyms; no dates"
WORD = 4
"""Minimum length of a word that is searched within words; a shorter name must be a word of its own."""
STREAM_WORD = 6
"""The same in compressed pixels, which contain any four letters by chance."""
_NUMBER = re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *\0?| *")
_TEXT: dict[str, Callable[[str], object]] = {
    "CS": re.compile("[A-Z0-9_ ]{0,16}").fullmatch,
    "SH": lambda value: len(value) <= 16 and value.isprintable(),
    "LO": lambda value: len(value) <= 64 and value.isprintable(),
}
"""Validity of one value, by VR."""
KEY_BYTES = 32


class Reason(enum.StrEnum):
    """Why a file is not exported."""

    NOT_DICOM = "not a DICOM image"
    NOT_CT = "not a CT slice"  # another SOP class, e.g. a dose report, or a screen capture
    BURNED_IN = "burned-in annotation"  # Burned In Annotation is YES
    OVERLAY = "overlay in the pixels"  # graphics in unused bits of the pixels, which are copied
    SURPLUS = "more pixel data than Rows x Columns"  # which may be anything
    NAMED = "a name or ID inside the compressed pixels"  # a comment of the encoder
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
    words = _words(original)
    _check(original, words)
    output = pydicom.Dataset()
    output.SpecificCharacterSet = "ISO_IR 192"
    cleared = []
    for keyword in KEPT:
        tag = Tag(tag_for_keyword(keyword) or 0)
        if tag in original and not _copy(original, output, keyword, words):
            cleared.append(keyword)
    for keyword in EMPTIED:
        setattr(output, keyword, "")
    patient = "P" + pseudonym(key, "patient", _text(original, "PatientID"))
    output.PatientID = output.PatientName = patient
    for keyword in (*UIDS, "FrameOfReferenceUID"):
        value = _text(original, keyword)
        if value:
            setattr(output, keyword, uid(key, value))
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


def _copy(
    original: pydicom.FileDataset, output: pydicom.Dataset, keyword: str, words: set[str]
) -> bool:
    """Copies what is as its VR in the dictionary demands, empties the rest; returns whether all was.

    Values of a text are emptied one by one: without `DERIVED`, a reformatted slice would look original.
    """
    tag = Tag(tag_for_keyword(keyword) or 0)
    element, vr = original.get_item(tag), dictionary_VR(tag)
    data = element.value or b""
    if not (isinstance(element, RawDataElement) and isinstance(data, bytes)) or element.VR == "SQ":
        setattr(output, keyword, None)
        return False
    if keyword in ("PixelData", "SOPClassUID"):  # see `_check`
        valid = True
    elif vr in _TEXT:
        values = _text(original, keyword).split("\\")
        kept = [value if _TEXT[vr](value) and not _names(value, words) else "" for value in values]
        setattr(output, keyword, kept if len(kept) > 1 else kept[0])
        return kept == values
    elif vr in ("DS", "IS"):
        parts = data.split(b"\\")
        valid = all(_NUMBER.fullmatch(part) for part in parts)
        if vr == "IS":  # a series may be numbered by an accession number
            valid = valid and words.isdisjoint(part.strip(b" \0").decode() for part in parts)
    elif vr == "FD":  # eight letters are a number too, but an absurd one
        order = "<" if original.original_encoding[1] else ">"
        numbers = struct.unpack(f"{order}{len(data) // 8}d", data) if len(data) % 8 == 0 else [1e99]
        valid = all(number == 0 or 1e-6 < abs(number) < 1e6 for number in numbers)
    else:
        valid = len(data) <= 4  # US, SS: one or two
    if valid:
        same = keyword == "PixelData" or element.VR in (None, *vr.split(" or "))
        output[tag] = element if same else element._replace(VR=vr[:2])
    else:
        setattr(output, keyword, None)
    return valid


def _check(original: pydicom.FileDataset, words: set[str]) -> None:
    if _text(original, "SOPClassUID") != CT_IMAGE or "PixelData" not in original:
        raise RefusedError(Reason.NOT_CT)
    image_type = {value.strip() for value in _text(original, "ImageType").upper().split("\\")}
    if {"SECONDARY", "SCREEN SAVE"} & image_type:
        raise RefusedError(Reason.NOT_CT)
    if _text(original, "BurnedInAnnotation").upper() not in ("", "NO"):
        raise RefusedError(Reason.BURNED_IN)
    tags: list[Any] = [*original.keys()]
    overlays = {tag.group for tag in tags if 0x6000 <= tag.group <= 0x601E}
    if any(
        Tag(group, 0x3000) not in original or _short(original, Tag(group, 0x0102), 0)
        for group in overlays
    ):
        raise RefusedError(Reason.OVERLAY)
    for keyword in ("PatientID", *UIDS):
        if not _text(original, keyword):
            raise RefusedError(Reason.MISSING_IDENTIFIERS)
    syntax, pixels = original.file_meta.TransferSyntaxUID, original.get_item("PixelData").value
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise RefusedError(Reason.DAMAGED)
    if syntax.is_encapsulated:
        if any(word.encode() in pixels.lower() for word in words if len(word) >= STREAM_WORD):
            raise RefusedError(Reason.NAMED)
        return
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    frames = int(_text(original, "NumberOfFrames") or 1)
    size = math.prod((*(_short(original, name) for name in names), frames)) // 8
    if len(pixels) > size and pixels[size:] != b"\0" * (size % 2):
        raise RefusedError(Reason.SURPLUS)


def _text(original: pydicom.Dataset, keyword: str) -> str:
    """A text, whatever VR the file gives it, without padding; several values stay joined by `\\`."""
    tag = tag_for_keyword(keyword) or 0
    value = original.get_item(tag).value if tag in original else ""
    text = decoded(value, character_set(original)) if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0\t\r\n")


def _short(original: pydicom.FileDataset, name: str | BaseTag, missing: int = 1) -> int:
    """An unsigned short; `missing` if it is, as samples per pixel may be."""
    if name not in original:
        return missing
    order = "<" if original.original_encoding[1] else ">"
    return struct.unpack(f"{order}H", original.get_item(name).value)[0]


def _words(original: pydicom.Dataset) -> set[str]:
    """The parts of persons' names, and the values of `IDS` and their words, in lower case."""
    persons = {word for keyword in PERSONS for word in _split(_text(original, keyword)) if word[1:]}
    ids = [_text(original, keyword).casefold() for keyword in IDS]
    several = {word for text in ids for word in (text, *_split(text)) if len(word) >= WORD}
    return persons | several


def _split(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _names(text: str, words: set[str]) -> bool:
    """Whether a text contains a word: within another one if it is long or not of ASCII letters."""
    folded = text.casefold()
    inside = (word for word in words if len(word) >= WORD or not word.isascii())
    return not words.isdisjoint(_split(folded)) or any(word in folded for word in inside)


def _same_pixels(original: pydicom.FileDataset, written: bytes) -> None:
    again = pydicom.dcmread(io.BytesIO(written))
    if (
        again.get_item("PixelData").value != original.get_item("PixelData").value
        or again.file_meta.TransferSyntaxUID != original.file_meta.TransferSyntaxUID
    ):
        raise RefusedError(Reason.DAMAGED)
