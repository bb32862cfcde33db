"""Parses a file's header: by `scan` if the file is plain, otherwise by pydicom."""

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

from fl_jax.data.dicom.character_sets import decoded
from fl_jax.data.dicom.header import TAGS, TEXTS, Header
from fl_jax.data.dicom.refusal import Reason, RefusedError
from fl_jax.data.dicom.scan import CHARACTER_SET, is_plain, scan


def parse(data: bytes) -> Header:
    """Parses a file's bytes; refuses files without DICOM's marker."""
    return scan(data) or with_pydicom(data)


def with_pydicom(data: bytes) -> Header:
    """Parses with pydicom; `parse` calls this if `scan` defers."""
    with quiet():
        try:
            tags = [CHARACTER_SET, *TAGS]
            parsed = pydicom.dcmread(io.BytesIO(data), specific_tags=tags)
        except pydicom.errors.InvalidDicomError as error:
            raise RefusedError(Reason.NOT_DICOM, "no DICM marker after 128 bytes") from error
        values = {key: _value(parsed, tag, key) for tag, key in TAGS.items() if tag in parsed}
        meta = getattr(parsed, "file_meta", {})
        syntax, media = meta.get("TransferSyntaxUID"), meta.get("MediaStorageSOPClassUID", "")
        order = "<" if parsed.original_encoding[1] else ">"
        return Header(values, order, None if syntax is None else UID(str(syntax)), str(media))


def _value(parsed: pydicom.Dataset, tag: int, keyword: str) -> bytes | None:
    element = parsed.get_item(tag)
    if not element or not element.value:  # pydicom replaces empty values
        return b""
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return None
    if keyword in TEXTS and not is_plain(element.value):
        return decoded(element.value, character_set(parsed)).encode()
    return element.value


def character_set(parsed: pydicom.Dataset) -> list[str]:
    """The values of Specific Character Set, which pydicom converts as it reads a file."""
    value = parsed.get_item(CHARACTER_SET).value if CHARACTER_SET in parsed else ""
    several = [value] if isinstance(value, str) else value
    return [name for name in several if isinstance(name, str)] or [""]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences pydicom's warnings about values, which this package checks itself."""
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
