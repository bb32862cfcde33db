"""A file's header, by the scan where the file is plain, by pydicom where it is not."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import pydicom
import pydicom.config
import pydicom.errors
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID

from fl_jax.data.dicom.header import TAGS, TEXTS, Header
from fl_jax.data.dicom.refusal import Reason, RefusedError
from fl_jax.data.dicom.scan import scan


def parse(data: bytes) -> Header:
    """Parses a file's bytes; refuses what is not in DICOM's file format."""
    return scan(data) or with_pydicom(data)


def with_pydicom(data: bytes) -> Header:
    """What `parse` gives where `scan` defers."""
    with quiet():
        try:
            found = pydicom.dcmread(io.BytesIO(data), specific_tags=list(TAGS))
        except pydicom.errors.InvalidDicomError as error:
            raise RefusedError(Reason.NOT_DICOM, "no DICM marker after 128 bytes") from error
        values = {key: _value(found, tag, key) for tag, key in TAGS.items() if tag in found}
        meta = getattr(found, "file_meta", {})
        syntax, media = meta.get("TransferSyntaxUID"), meta.get("MediaStorageSOPClassUID", "")
        order = "<" if found.original_encoding[1] else ">"
        return Header(values, order, None if syntax is None else UID(str(syntax)), str(media))


def _value(found: pydicom.Dataset, tag: int, keyword: str) -> bytes | None:
    element = found.get_item(tag)
    if not element or not element.value:  # pydicom gives an empty element a value of its own
        return b""
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return None
    if keyword in TEXTS and not element.value.isascii():  # needs the file's character set
        return str(found[tag].value).encode()
    return element.value


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
