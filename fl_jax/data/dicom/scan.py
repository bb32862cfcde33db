"""Scans the header of plain little-endian files; leaves all others to pydicom.

The scan walks from element to element by length and keeps the raw bytes of the elements in `header.KEYWORDS`.
Its result equals that of pydicom's parser, many times faster, because it defers wherever the parser would
have to guess, repair or recurse:

- a transfer syntax other than implicit or explicit little endian;
- a file meta group without a leading group length, or of another length;
- a UID there that is not of VR UI, or not of digits and dots;
- an unknown VR, or a VR in a file of implicit syntax;
- an undefined length, an item, a delimiter;
- tags that do not ascend;
- an element that extends beyond the file, or trailing bytes;
- any but a single known character set; text that is not ASCII, or has an escape sequence of ISO 2022;
- pixels at an odd offset, which NumPy and OpenCV would have to copy.

References: DICOM PS3.5 section 7.1 (elements), PS3.10 section 7.1 (file meta information).
"""

import re
import struct
from collections.abc import Iterator

from pydicom.charset import python_encoding
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from fl_jax.data.dicom.header import TAGS, TEXTS, Header

MARK = slice(128, 132)
GROUP_LENGTH, MEDIA, SYNTAX = 0x00020000, 0x00020002, 0x00020010
END_OF_META = 0x0002FFFF
CHARACTER_SET = 0x00080005
DELIMITERS = 0xFFFE0000
SYNTAXES = {uid.encode(): uid for uid in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)}
CHARACTER_SETS = {name.encode() for name in python_encoding}
_TEXTS = frozenset(TEXTS)
UIDS = re.compile(rb"[0-9.]*\0?")
LONG = {vr.encode(): False for vr in EXPLICIT_VR_LENGTH_16} | {
    vr.encode(): True for vr in EXPLICIT_VR_LENGTH_32
}
"""Whether a VR has a length of 32 bits, after two reserved bytes."""
EXPLICIT, IMPLICIT, LENGTH = struct.Struct("<HH2sH"), struct.Struct("<HHL"), struct.Struct("<L")

Element = tuple[int, bytes, int, int]
"""Tag, VR (empty for implicit syntax), and the offsets where the value begins and ends."""


class DeferredError(Exception):
    """The file is not plain; never leaves this module."""


def is_plain(value: bytes) -> bool:
    """Whether a text means the same in every character set: ASCII without code extensions."""
    return value.isascii() and b"\x1b" not in value


def scan(data: bytes) -> Header | None:
    """Scans a file; None if it is not plain and needs pydicom."""
    if data[MARK] != b"DICM":
        return None
    try:
        begin, meta = _meta(data)
        syntax = SYNTAXES[meta[SYNTAX]]
        written = data[begin + 4 : begin + 6]
        implicit = syntax == ImplicitVRLittleEndian
        if implicit and written.isalpha() and written.isupper():
            return None
        values = _values(data, begin, implicit)
    except (DeferredError, KeyError, struct.error):  # not plain, another syntax, truncated
        return None
    return Header(values, "<", syntax, meta.get(MEDIA, b"").decode())


def _meta(data: bytes) -> tuple[int, dict[int, bytes]]:
    """The offset where the file meta group ends, and its UIDs."""
    begin = MARK.stop
    first = next(_explicit(data, begin, begin + 12, 0), None)
    if first != (GROUP_LENGTH, b"UL", begin + 8, begin + 12):
        raise DeferredError
    end = begin + 12 + LENGTH.unpack_from(data, begin + 8)[0]
    if end > len(data):
        raise DeferredError
    uids = {}
    for tag, vr, start, stop in _explicit(data, begin + 12, end, GROUP_LENGTH):
        if tag > END_OF_META:
            raise DeferredError
        if tag in (MEDIA, SYNTAX):
            value = data[start:stop]
            if vr != b"UI" or not UIDS.fullmatch(value):
                raise DeferredError
            uids[tag] = value.rstrip(b"\0")
    return end, uids


def _values(data: bytes, begin: int, implicit: bool) -> dict[str, bytes | memoryview]:
    walk, keywords = _implicit if implicit else _explicit, TAGS.get
    values: dict[str, bytes | memoryview] = {}
    for tag, vr, start, stop in walk(data, begin, len(data), END_OF_META):
        if tag == CHARACTER_SET and not (
            vr in (b"", b"CS") and data[start:stop].rstrip(b" ") in CHARACTER_SETS
        ):
            raise DeferredError
        keyword = keywords(tag)
        if keyword is None:
            continue
        if keyword == "PixelData":
            if start % 2:
                raise DeferredError
            values[keyword] = memoryview(data)[start:stop]
        else:
            value = values[keyword] = data[start:stop]
            if keyword in _TEXTS and not is_plain(value):
                raise DeferredError
    return values


def _explicit(data: bytes, begin: int, end: int, last: int) -> Iterator[Element]:
    head, length32 = EXPLICIT.unpack_from, LENGTH.unpack_from
    while begin < end:
        group, number, vr, length = head(data, begin)
        begin += 8
        if LONG[vr]:  # a KeyError defers an unknown VR
            (length,) = length32(data, begin)
            begin += 4
        tag, stop = group << 16 | number, begin + length
        if not last < tag < DELIMITERS or stop > end:
            raise DeferredError
        yield tag, vr, begin, stop
        last, begin = tag, stop


def _implicit(data: bytes, begin: int, end: int, last: int) -> Iterator[Element]:
    head = IMPLICIT.unpack_from
    while begin < end:
        group, number, length = head(data, begin)
        begin += 8
        tag, stop = group << 16 | number, begin + length
        if not last < tag < DELIMITERS or stop > end:
            raise DeferredError
        yield tag, b"", begin, stop
        last, begin = tag, stop
