"""`Reason` and `Repair`, the named ways in which a file is refused or repaired; tables count by name.

| `Repair` | fault | repair | source of the rule |
|---|---|---|---|
| WRAPAROUND | 12 bits, unsigned, intercept above -100, slope 1: has no value for air, so the file stores HU mod 4096 | x += 1000; x[x >= 4096] -= 4096; intercept = -1000 | J. Howard, Cleaning the data for rapid prototyping (RSNA 2019 challenge); the published study |
| PADDING | values of -1200 HU or less (-1500, -2000, -3024), written outside a scanner's circle | clipped to -1024 HU, which is air | PS3.3 C.7.5.1.1.2, Pixel Padding Value |
| SIGN | signed with BitsStored < 16, unused high bits are 0 | sign bit extended | PS3.5 8.1.1: unused bits carry no meaning |
| INVERTED | MONOCHROME1, and the border is air only after inversion | values inverted within BitsStored | PS3.3 C.7.6.3.1.2 changes display only; some writers also invert values |
| TURNED | the picture is not radiological: flipped, transposed or turned by a quarter or half | flipped and transposed, see `plane` | PS3.3 C.7.6.2, Image Orientation (Patient) |
| PAD_BYTE | one byte of uncompressed little-endian pixels is missing, and with a zero there the last pixel is within 100 of the one before | a zero is added | PS3.5 6.2: values are padded with a NULL byte, which some writers and copies strip |

A detail names elements, sizes and numbers, and never quotes text: a damaged or misused element may contain a
name. `shown` lets through only what the standard defines.
| LOSSY | Lossy Image Compression is 01, or the compressed pixels are lossy | none is possible: values are taken as decoded, and counted | PS3.3 C.7.6.1.1.5 |

Each repair can be disabled; a file that needs it is then refused (`REPAIR_OFF`). A MONOCHROME1 file whose
border is already air follows the standard and is not inverted.
"""  # noqa: E501 - a table

import enum
from typing import NamedTuple

from pydicom.config import IGNORE
from pydicom.uid import UID

TERMS = {
    *("AXIAL", "LOCALIZER", "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "REFORMATTED"),
    *("AVERAGE", "MPR", "MIP", "MINIP", "VOLUME", "RESAMPLED", "MIXED", "OTHER", "CT", "MR", "US"),
    *("CR", "DX", "MG", "NM", "PT", "XA", "RF", "SC", "OT", "SR", "SEG", "PR", "KO", "DOC", "GM"),
    *("IO", "OP", "PX", "RTDOSE", "RTPLAN", "RTSTRUCT", "SM", "XC", "HU", "OD", "PCT", "RGB"),
    *("MONOCHROME1", "MONOCHROME2", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT"),
    *("YBR_RCT", "PALETTE COLOR", "SCREEN SAVE"),
}
"""Words of Image Type, Modality, Photometric Interpretation and Rescale Type that a detail may quote."""


class Reason(enum.StrEnum):
    """Why a file is refused; tables and messages show the value."""

    UNREADABLE = "unreadable file"  # the operating system cannot open or read it
    NOT_DICOM = "not a DICOM image"  # no DICM marker, or a directory record (DICOMDIR)
    CORRUPT = "corrupt header or pixels"  # an element or the pixel stream cannot be decoded
    CRASHED = "ends the process that reads it"  # native code; only worker processes detect it
    TOO_LARGE = "too large"  # a bound of `bounds` on files, headers, pixels or decoding is exceeded
    TRUNCATED = "truncated"  # fewer pixel bytes than Rows x Columns, or the header ends early
    NOT_CT = "not CT"  # another modality or SOP class
    COLOUR = "colour"  # more than one sample a pixel, or a palette
    LOCALIZER = "localizer"  # Image Type value 3: scout, topogram, surview
    DERIVED = "derived or secondary"  # Image Type DERIVED or SECONDARY; Secondary Capture
    MULTI_FRAME = "multi-frame"  # Number of Frames > 1, Enhanced CT, or pixels for several frames
    NOT_AXIAL = "not axial"  # slice normal more than 45 degrees from the body's axis
    MISSING_GEOMETRY = "missing orientation or position"  # the picture could be a mirror image
    MISSING_SPACING = "missing pixel spacing"  # and slices are resampled to fixed mm a pixel
    BAD_GEOMETRY = "bad geometry"  # malformed orientation or position; Rows x Columns does not fit
    PHOTOMETRIC = "photometric interpretation"  # missing, or MONOCHROME1 of unclear polarity
    BIT_DEPTH = "bit depth"  # not 16 bits allocated, or values above BitsStored
    BAD_RESCALE = (
        "missing or bad rescale"  # missing, not finite, slope 0 or less, a table, or not in HU
    )
    COMPRESSED = (
        "compressed without a decoder"  # no decoder for the transfer syntax, or it hides damage
    )
    EMPTY = "empty pixels"  # no PixelData, length 0, or one value everywhere
    BLANK = "blank picture"  # neither tissue nor the noise of air
    OUT_OF_RANGE = "out-of-range HU"  # no air, too much bone or between air and tissue, values lost
    REPAIR_OFF = "repair switched off"  # readable only with a disabled repair
    MISSING_IDENTIFIERS = "missing identifiers"  # no patient, study or series: cannot be grouped


class Repair(enum.StrEnum):
    """A reversible fault that was repaired; see the module's table."""

    WRAPAROUND = "12-bit wraparound"
    PADDING = "padding clipped to air"
    SIGN = "sign bit extended"
    INVERTED = "inverted MONOCHROME1"
    PAD_BYTE = "missing pad byte"
    LOSSY = "lossy compression"
    TURNED = "turned to radiological orientation"


ALL_REPAIRS = frozenset(Repair)


class Refusal(NamedTuple):
    """A refused file: path or name, reason, and a detail to act on."""

    path: str
    reason: Reason
    detail: str


class RefusedError(Exception):
    """Carries a reason and a detail from a check to `read`; never leaves this package."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def shown(value: str) -> str:
    """A value for a detail: terms and UIDs of the standard by name, all else by its length."""
    name = UID(value, IGNORE).name
    if name != value:
        return name
    return "\\".join(
        part if part in TERMS else f"({len(part)} characters)" if part else "(empty)"
        for part in (part.strip() for part in value.split("\\"))
    )
