"""Compressed DICOM files for tests: by pydicom's encoders, and a small one for lossless JPEG."""

import struct
import warnings

import make_dicom
import numpy as np
import pydicom
from pydicom import uid
from pydicom.encaps import encapsulate

SYNTAXES = {
    "RLE": uid.RLELossless,
    "JPEG lossless": uid.JPEGLossless,
    "JPEG lossless, first-order prediction": uid.JPEGLosslessSV1,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000": uid.JPEG2000Lossless,
}
"""Lossless ones, by name."""


def compress(scan: pydicom.Dataset, syntax: str) -> bytes:
    """The file of an uncompressed data set, with its pixels compressed."""
    if not syntax.startswith("JPEG lossless"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scan.compress(SYNTAXES[syntax], generate_instance_uid=False)
        return make_dicom.encode(scan)
    stored = np.frombuffer(scan.PixelData, "<u2").reshape(scan.Rows, scan.Columns)
    scan.PixelData = encapsulate([lossless_jpeg(stored & 2**scan.BitsStored - 1, scan.BitsStored)])
    scan["PixelData"].is_undefined_length = True
    scan.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    return make_dicom.encode(scan)


def lossless_jpeg(pixels: np.ndarray, bits: int) -> bytes:
    """ITU-T T.81, process 14, each pixel predicted by the one to its left (selection value 1).

    Args:
        pixels: unsigned [rows, columns].
        bits: of a pixel.
    """
    values = pixels.astype(int)
    left = np.roll(values, 1, axis=1)
    left[1:, 0], left[0, 0] = values[:-1, 0], 1 << bits - 1
    steps = (values - left + 2**15) % 2**16 - 2**15
    # The category of a step and, but for 0 and 16, its offset in the category; 17 codes of five bits.
    text = "".join(
        f"{(n := int(abs(d)).bit_length()):05b}" + _offset(int(d), n) for d in steps.flat
    )
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    rows, columns = pixels.shape
    frame = struct.pack(">BHHBBBB", bits, rows, columns, 1, 1, 0x11, 0)
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    scan = bytes([1, 1, 0, 1, 0, 0])
    parts = ((0xC3, frame), (0xC4, table), (0xDA, scan))
    head = b"".join(struct.pack(">BBH", 0xFF, m, len(p) + 2) + p for m, p in parts)
    return b"\xff\xd8" + head + data + b"\xff\xd9"


def _offset(step: int, category: int) -> str:
    if category in (0, 16):
        return ""
    return f"{step if step > 0 else step + (1 << category) - 1:0{category}b}"
