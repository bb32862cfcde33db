"""Header elements are read from their raw bytes: missing, empty and malformed become plain values.

Conversion of values is left out, because it costs more than the pixels do and complains about
identifiers (`ID_...`) that are no valid UIDs but are good names.
"""

import math
import struct
from collections.abc import Mapping
from typing import NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from fl_jax.data.dicom.refusal import Reason, RefusedError

TEXTS = (
    *("ImageType", "SOPClassUID", "Modality", "Manufacturer", "PatientID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "ConvolutionKernel", "PhotometricInterpretation", "RescaleType"),
)
KEYWORDS = (
    *TEXTS,
    *("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "GantryDetectorTilt", "SamplesPerPixel", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "PixelData"),
)
"""All that is read of a file; no person's name, birth date or address is among it."""
TAGS = {int(tag_for_keyword(keyword) or 0): keyword for keyword in KEYWORDS}


class Header(NamedTuple):
    """What is read of a file.

    Attributes:
        values: raw, by keyword, of the elements that are there; texts in UTF-8; None for what is no plain
            value, such as a sequence.
        order: of the bytes of numbers, as in `struct`: `<` or `>`.
        syntax: Transfer Syntax UID; None where it is missing.
        media: Media Storage SOP Class UID; empty where it is missing.
    """

    values: Mapping[str, bytes | memoryview | None]
    order: str
    syntax: UID | None
    media: str


def _raw(header: Header, keyword: str) -> bytes | memoryview:
    value = header.values.get(keyword, b"")
    if value is None:
        raise RefusedError(Reason.CORRUPT, f"{keyword} is no plain value")
    return value


def text(header: Header, keyword: str) -> str:
    """A text element without the blanks and NULs that pad it; several values stay joined by `\\`."""
    return bytes(_raw(header, keyword)).decode().strip(" \0\t\r\n")


def numbers(header: Header, keyword: str, count: int) -> list[float]:
    """`count` decimal numbers, all NaN where the element is missing, of another length or bad."""
    try:
        read = [float(part.strip(b" \0")) for part in bytes(_raw(header, keyword)).split(b"\\")]
    except ValueError:
        read = []
    return read if len(read) == count else [math.nan] * count


def integer(header: Header, keyword: str, missing: int = -1) -> int:
    """An unsigned short; `missing` where it is absent or not of two bytes."""
    value = _raw(header, keyword)
    return struct.unpack(header.order + "H", value)[0] if len(value) == 2 else missing


def pixel_bytes(header: Header) -> bytes | memoryview:
    """The bytes of PixelData."""
    return _raw(header, "PixelData")
