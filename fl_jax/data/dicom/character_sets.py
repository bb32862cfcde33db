"""Decodes text in the character sets of DICOM (PS3.5, 6.1.2), without ever merging two different texts."""

import re

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import TEXT_VR_DELIMS

_UNDECODED = re.compile("[\x1b\x80-\x9f\ufffd]")
"""An escape, a C1 control or a replacement character: the bytes are of another character set."""
_FOREIGN = re.compile(rb"[\x80-\xff]|\x1b(?=[(),.$/-])")
"""Bytes beyond ASCII, and the escape of a code extension; another escape is a control character."""


def decoded(value: bytes, character_set: list[str]) -> str:
    """Decodes a text; bytes that its character set does not have become `<e9>`.

    pydicom replaces such bytes, which makes one patient of `Müller` and `Möller`.

    Args:
        value: as stored.
        character_set: the values of Specific Character Set; unknown ones count as the default. Call it
            within `parse.quiet`, since pydicom warns about them.
    """
    text = decode_bytes(value, convert_encodings(character_set), TEXT_VR_DELIMS)
    if _UNDECODED.search(text):
        return _FOREIGN.sub(lambda byte: b"<%02x>" % byte[0][0], value).decode()
    return text
