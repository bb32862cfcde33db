"""Header elements are read from their raw bytes: missing, empty and malformed become plain values.

pydicom parses the file; its conversion of values is skipped, because it costs more than the pixels
do and complains about identifiers (`ID_...`) that are no valid UIDs but are good names.
"""

import contextlib
import io
import logging
import math
import struct
import warnings
from collections.abc import Iterator

import pydicom
import pydicom.config
import pydicom.errors
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from fl_jax.data.dicom.refusal import Reason, RefusedError

KEYWORDS = (
    *("SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "Manufacturer"),
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("GantryDetectorTilt", "ConvolutionKernel", "SamplesPerPixel", "PhotometricInterpretation"),
    *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
    *("RescaleType", "PixelData"),
)
"""All that is read of a file; no person's name, birth date or address is among it."""
TAGS = {keyword: Tag(tag_for_keyword(keyword) or 0) for keyword in KEYWORDS}


def parse(data: bytes) -> pydicom.Dataset:
    """Parses a file's bytes, values unconverted; refuses what is not in DICOM's file format."""
    try:
        return pydicom.dcmread(io.BytesIO(data), specific_tags=list(TAGS.values()))
    except pydicom.errors.InvalidDicomError as error:
        raise RefusedError(Reason.NOT_DICOM, "no DICM marker after 128 bytes") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences pydicom's complaints about values, which are judged here, and nothing else."""
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


def _raw(header: pydicom.Dataset, keyword: str) -> tuple[bytes, str]:
    """An element's bytes, empty where it is missing, and struct's byte order."""
    tag = TAGS[keyword]
    if tag not in header:
        return b"", "<"
    element = header.get_item(tag)
    if not element or not element.value:  # pydicom gives an empty element a value of its own
        return b"", "<"
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        raise RefusedError(Reason.CORRUPT, f"{keyword} is no plain value")
    return element.value, "<" if element.is_little_endian else ">"


def text(header: pydicom.Dataset, keyword: str) -> str:
    """A text element without the blanks and NULs that pad it; several values stay joined by `\\`."""
    value, _ = _raw(header, keyword)
    if not value.isascii():  # the only case that needs the file's character set
        value = str(header[TAGS[keyword]].value).encode()
    return value.decode().strip(" \0\t\r\n")


def numbers(header: pydicom.Dataset, keyword: str, count: int) -> list[float]:
    """`count` decimal numbers, all NaN where the element is missing, of another length or bad."""
    value, _ = _raw(header, keyword)
    try:
        read = [float(part.strip(b" \0")) for part in value.split(b"\\")]
    except ValueError:
        read = []
    return read if len(read) == count else [math.nan] * count


def integer(header: pydicom.Dataset, keyword: str, missing: int = -1) -> int:
    """An unsigned short; `missing` where it is absent or not of two bytes."""
    value, order = _raw(header, keyword)
    return struct.unpack(order + "H", value)[0] if len(value) == 2 else missing


def pixel_bytes(header: pydicom.Dataset) -> tuple[bytes, str]:
    """The bytes of PixelData and their order, `<` or `>`."""
    return _raw(header, "PixelData")
