"""Parses a file's header: by `scan` if the file is plain, otherwise by pydicom."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import pydicom
import pydicom.config
import pydicom.errors
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset, read_partial
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from fl_jax.data.dicom import bounds
from fl_jax.data.dicom.character_sets import decoded
from fl_jax.data.dicom.header import TAGS, TEXTS, Header
from fl_jax.data.dicom.refusal import Reason, RefusedError
from fl_jax.data.dicom.scan import CHARACTER_SET, is_plain, scan

PATIENT_ID = 0x00100020
_PACKED = (b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ")
"""How archives of zip, gzip, 7z, bzip2 and xz begin."""


def parse(data: bytes) -> Header:
    """Parses a file's bytes; refuses files without DICOM's marker."""
    return scan(data) or with_pydicom(data)


def with_pydicom(data: bytes) -> Header:
    """Parses with pydicom; `parse` calls this if `scan` defers."""
    with quiet():
        try:
            return _parsed(data)
        except pydicom.errors.InvalidDicomError as error:
            packed = "; a packed file: unpack it" if data.startswith(_PACKED) else ""
            detail = f"no DICM marker after 128 bytes{packed}"
            raise RefusedError(Reason.NOT_DICOM, detail) from error
        except OSError as error:  # pydicom replaces whatever is raised in a sequence
            raise error.__context__ or error from None


def _parsed(data: bytes) -> Header:
    tags, once = [CHARACTER_SET, *TAGS], _Once()
    try:
        parsed = read_partial(bounds.BoundedReader(data), once, specific_tags=tags)
        meta, order = parsed.file_meta, "<" if parsed.original_encoding[1] else ">"
        syntax, media = meta.get("TransferSyntaxUID"), meta.get("MediaStorageSOPClassUID", "")
    except bounds.DeflatedError as deflated:
        body = bounds.BoundedReader(bounds.inflate(deflated.args[0]))
        parsed = read_dataset(body, False, True, stop_when=once, specific_tags=tags)
        syntax, media, order = DeflatedExplicitVRLittleEndian, "", "<"
    values = {key: _value(parsed, tag, key) for tag, key in TAGS.items() if tag in parsed}
    return Header(values, order, None if syntax is None else UID(str(syntax)), str(media))


def patient_id(data: bytes) -> str:
    """Patient ID from the beginning of a file; empty if it is not there or cannot be parsed."""
    with quiet():
        try:
            parsed = read_partial(
                bounds.BoundedReader(data),
                lambda tag, *_: tag > PATIENT_ID,
                specific_tags=[CHARACTER_SET, PATIENT_ID],
            )
            value = _value(parsed, PATIENT_ID, "PatientID") if PATIENT_ID in parsed else b""
            return (value or b"").decode().strip(" \0\t\r\n")
        except (
            Exception
        ):  # pydicom raises arbitrary errors; `read` says what is wrong with the file
            return ""


class _Once:
    """Called by pydicom's parser before each element; refuses an element that is there twice (PS3.5, 7.1)."""

    def __init__(self) -> None:
        self._tags: list[int] = []

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        looks_ahead = len(self._tags) == 1 and tag == self._tags[0]  # it tests the first one's VR
        if tag in self._tags and not looks_ahead:
            raise RefusedError(Reason.CORRUPT, f"{TAGS[tag]} is there twice")
        if tag in TAGS:
            self._tags.append(tag)
        return False


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
