"""Every way in which a file is refused or repaired has one name, which messages and tables count.

| `Repair` | what is wrong | what is done | source of the rule |
|---|---|---|---|
| WRAPAROUND | 12 bits, unsigned, intercept above -100, slope 1: cannot hold air, so holds HU mod 4096 | x += 1000; x[x >= 4096] -= 4096; intercept = -1000 | J. Howard, Cleaning the data for rapid prototyping (RSNA 2019 challenge); the study |
| PADDING | values of -1200 HU or less (-1500, -2000, -3024), written outside a scanner's circle | clipped to -1024 HU, which is air | PS3.3 C.7.5.1.1.2, Pixel Padding Value |
| SIGN | signed with BitsStored < 16, unused high bits left 0 | sign bit extended | PS3.5 8.1.1: unused bits carry no meaning |
| INVERTED | MONOCHROME1, and the border is air only after inversion | values inverted within BitsStored | PS3.3 C.7.6.3.1.2 changes only display; some writers invert values too |
| PAD_BYTE | one byte of uncompressed little-endian pixels is missing, and with a zero there the last pixel is within 100 of the one before | a zero is added | PS3.5 6.2: values are padded with a NULL byte, which writers and copies strip |

Each repair can be switched off: then the file that needs it is refused (`REPAIR_OFF`). A MONOCHROME1 file
whose border is air as it stands follows the standard and is left alone.
"""  # noqa: E501 - a table

import enum
from typing import NamedTuple


class Reason(enum.StrEnum):
    """Why a file is refused; the value is what tables and messages say."""

    UNREADABLE = "unreadable file"  # the operating system cannot open or read it
    NOT_DICOM = "not a DICOM image"  # no DICM marker, or a directory record (DICOMDIR)
    CORRUPT = "corrupt header or pixels"  # an element or the pixel stream cannot be decoded
    CRASHED = "ends the process that reads it"  # a decoder's native code; in several processes only
    TRUNCATED = "truncated"  # fewer pixel bytes than Rows x Columns, or the header ends early
    NOT_CT = "not CT"  # another modality or SOP class
    COLOUR = "colour"  # more than one sample a pixel, or a palette
    LOCALIZER = "localizer"  # Image Type value 3: scout, topogram, surview
    DERIVED = "derived or secondary"  # Image Type DERIVED or SECONDARY; Secondary Capture
    MULTI_FRAME = "multi-frame"  # Number of Frames > 1, Enhanced CT, or pixels for several frames
    NOT_AXIAL = "not axial"  # the slice normal is more than 45 degrees off the body's axis
    BAD_GEOMETRY = "bad geometry"  # no orientation or position, or Rows x Columns does not fit
    PHOTOMETRIC = "photometric interpretation"  # missing, or MONOCHROME1 that cannot be resolved
    BIT_DEPTH = "bit depth"  # not 16 bits allocated, or values above BitsStored
    BAD_RESCALE = "missing or bad rescale"  # missing, not finite, slope 0, or not in HU
    COMPRESSED = "compressed without a decoder"  # none installed for the transfer syntax
    EMPTY = "empty pixels"  # no PixelData, length 0, or one value everywhere
    OUT_OF_RANGE = "out-of-range HU"  # nothing below water, or a tenth of the picture above bone
    REPAIR_OFF = "repair switched off"  # readable by a repair that was not asked for
    MISSING_IDENTIFIERS = "missing identifiers"  # no patient, study or series: cannot be grouped


class Repair(enum.StrEnum):
    """A reversible fault that was put right; see the module's table."""

    WRAPAROUND = "12-bit wraparound"
    PADDING = "padding clipped to air"
    SIGN = "sign bit extended"
    INVERTED = "inverted MONOCHROME1"
    PAD_BYTE = "missing pad byte"


ALL_REPAIRS = frozenset(Repair)


class Refusal(NamedTuple):
    """Why a file is not a slice: the path or name, a reason to count, a detail to act on."""

    path: str
    reason: Reason
    detail: str


class RefusedError(Exception):
    """Carries a reason and a detail from a check up to `read`; never leaves this package."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
