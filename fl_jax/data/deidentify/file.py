"""De-identifies a DICOM file of a CT slice by an allow-list of elements.

Follows the Basic Application Level Confidentiality Profile (PS3.15, E.2) as far as research exports need it. The
profile lists elements to remove (table E.1-1), and each edition adds more. This module lists elements to keep
and drops all others: private elements, sequences, overlays, comments and anything unforeseen. None of `KEPT` is in
that table (edition 2026c). Maintained libraries (`deid`, `dicom-anonymizer`, `dicognito`) remove by the table,
and none derives pseudonyms from a key file.

| element | outcome |
|---|---|
| `elements.KEPT`: pixels and what describes them, the scanner's make and settings, position | copied; pixels and numbers byte by byte |
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
from typing import Any, NamedTuple

import pydicom
import pydicom.errors
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID

from fl_jax.data.deidentify import elements
from fl_jax.data.dicom.parse import quiet
from fl_jax.data.dicom.read import CT_IMAGE

EMPTIED = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID"),
)
"""Elements that a CT image must have (type 2), possibly empty."""
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
METHOD = "fl_jax: allow-list after PS3.15 E.2; keyed pseudonyms; no dates"
STREAM_WORD = 6
"""The same in compressed pixels, which contain any four letters by chance."""
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
    words = elements.words_of(original)
    _check(original, words)
    output = pydicom.Dataset()
    output.SpecificCharacterSet = "ISO_IR 192"
    cleared = []
    for keyword in elements.KEPT:
        tag = Tag(tag_for_keyword(keyword) or 0)
        if tag in original and not elements.copy(original, output, keyword, words):
            cleared.append(keyword)
    for keyword in EMPTIED:
        setattr(output, keyword, "")
    patient = "P" + pseudonym(key, "patient", elements.text(original, "PatientID"))
    output.PatientID = output.PatientName = patient
    for keyword in (*UIDS, "FrameOfReferenceUID"):
        value = elements.text(original, keyword)
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


def _check(original: pydicom.FileDataset, words: set[str]) -> None:
    if elements.text(original, "SOPClassUID") != CT_IMAGE or "PixelData" not in original:
        raise RefusedError(Reason.NOT_CT)
    image_type = elements.text(original, "ImageType").upper().split("\\")
    if {"SECONDARY", "SCREEN SAVE"} & {value.strip() for value in image_type}:
        raise RefusedError(Reason.NOT_CT)
    if elements.text(original, "BurnedInAnnotation").upper() not in ("", "NO"):
        raise RefusedError(Reason.BURNED_IN)
    tags: list[Any] = [*original.keys()]
    overlays = {tag.group for tag in tags if 0x6000 <= tag.group <= 0x601E}
    if any(
        Tag(group, 0x3000) not in original or elements.short(original, Tag(group, 0x0102), 0)
        for group in overlays
    ):
        raise RefusedError(Reason.OVERLAY)
    for keyword in ("PatientID", *UIDS):
        if not elements.text(original, keyword):
            raise RefusedError(Reason.MISSING_IDENTIFIERS)
    syntax, pixels = original.file_meta.TransferSyntaxUID, original.get_item("PixelData").value
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise RefusedError(Reason.DAMAGED)
    if syntax.is_encapsulated:
        folded = pixels.lower()
        if any(word.encode() in folded for word in words if len(word) >= STREAM_WORD):
            raise RefusedError(Reason.NAMED)
        return
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    frames = int(elements.text(original, "NumberOfFrames") or 1)
    size = math.prod((*(elements.short(original, name) for name in names), frames)) // 8
    if len(pixels) > size and pixels[size:] != b"\0" * (size % 2):
        raise RefusedError(Reason.SURPLUS)


def _same_pixels(original: pydicom.FileDataset, written: bytes) -> None:
    again = pydicom.dcmread(io.BytesIO(written))
    if (
        again.get_item("PixelData").value != original.get_item("PixelData").value
        or again.file_meta.TransferSyntaxUID != original.file_meta.TransferSyntaxUID
    ):
        raise RefusedError(Reason.DAMAGED)
