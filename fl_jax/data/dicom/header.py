"""`Header`, the raw elements of a file, and their values; missing and malformed elements become defaults.

pydicom's conversion of values is bypassed: it costs more than the pixels and rejects identifiers (`ID_...`)
that are not valid UIDs but still identify a patient.
"""

import math
import struct
from collections.abc import Mapping
from typing import NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from fl_jax.data.dicom import bounds
from fl_jax.data.dicom.refusal import Reason, RefusedError

TEXTS = (
    *("ImageType", "SOPClassUID", "Modality", "Manufacturer", "PatientID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "ConvolutionKernel", "PhotometricInterpretation", "RescaleType"),
    "LossyImageCompression",
)
KEYWORDS = (
    *TEXTS,
    *("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "GantryDetectorTilt", "SamplesPerPixel", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PixelData"),
)
"""The only elements read; no name, birth date or address of a person is among them."""
TAGS = {int(tag_for_keyword(keyword) or 0): keyword for keyword in KEYWORDS}

LONGEST_TEXT = 64
"""Maximum length of a text of VR LO (PS3.5, 6.2)."""


class Header(NamedTuple):
    """The raw elements of a file.

    Attributes:
        values: raw value by keyword, of the elements that exist; text in UTF-8; None for a sequence or
            another value that is not plain bytes.
        order: byte order of numbers as in `struct`: `<` or `>`.
        syntax: Transfer Syntax UID, or None.
        media: Media Storage SOP Class UID, or empty.
    """

    values: Mapping[str, bytes | memoryview | None]
    order: str
    syntax: UID | None
    media: str


def _raw(header: Header, keyword: str) -> bytes | memoryview:
    value = header.values.get(keyword, b"")
    if value is None:
        raise RefusedError(Reason.CORRUPT, f"{keyword} is not a plain value")
    if len(value) > bounds.LONGEST_VALUE and keyword != "PixelData":
        bounds.check(f"bytes of {keyword}", len(value), bounds.LONGEST_VALUE)
    return value


def text(header: Header, keyword: str) -> str:
    """A text element without padding; multiple values stay joined by `\\`."""
    return bytes(_raw(header, keyword)).decode().strip(" \0\t\r\n")


def device_text(header: Header, keyword: str) -> str:
    """A text about the scanner, up to the first control character and at most `LONGEST_TEXT` characters.

    With a wrong length, the element also contains the next ones, such as the institution's name.
    """
    value = text(header, keyword)
    if not value.isprintable():
        value = value[: next(at for at, c in enumerate(value) if not c.isprintable())]
    return value[:LONGEST_TEXT].strip()


def numbers(header: Header, keyword: str, count: int) -> list[float]:
    """`count` decimal numbers; all NaN if the element is missing, malformed or has another count."""
    raw = bytes(_raw(header, keyword)).replace(b"_", b"?")  # float() accepts 1_0
    try:
        values = [float(part.strip(b" \0")) for part in raw.split(b"\\")]
    except ValueError:
        values = []
    return values if len(values) == count else [math.nan] * count


def is_empty(header: Header, keyword: str) -> bool:
    """Whether an element is missing or blank."""
    return not bytes(_raw(header, keyword)).strip(b" \0")


def integer(header: Header, keyword: str, missing: int = -1) -> int:
    """An unsigned short; `missing` if it is absent or not two bytes."""
    value = _raw(header, keyword)
    return struct.unpack(header.order + "H", value)[0] if len(value) == 2 else missing


def pixel_bytes(header: Header) -> bytes | memoryview:
    """The bytes of PixelData."""
    return _raw(header, "PixelData")
