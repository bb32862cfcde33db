"""Checks compressed pixels before they are decoded.

Decoders allocate what a stream declares, ignore what follows a picture, and fill in what is missing, so the
stream must declare the picture that the header describes, and be complete: a lossless JPEG must have one
Huffman code a pixel, JPEG 2000 all tiles. Neither has a checksum: other damage shows only in the picture.

References: ITU-T T.81 Annexes B and H (JPEG), T.87 (JPEG-LS), T.800 Annex A (JPEG 2000); PS3.5 Annex G (RLE).
"""

import io
import itertools
import re
import struct
from typing import NoReturn

import numpy as np
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from fl_jax.data.dicom import bounds
from fl_jax.data.dicom.refusal import Reason, RefusedError

END = b"\xff\xd9"
"""End-of-image marker."""
LOSSLESS_FRAME, JPEG_LS_FRAME, SCAN, TABLES, RESTART = 0xFFC3, 0xFFF7, 0xFFDA, 0xFFC4, 0xFFDD
FRAMES = {*range(0xFFC0, 0xFFD0), JPEG_LS_FRAME} - {TABLES, 0xFFC8, 0xFFCC}
CODING, TILE = 0xFF52, 0xFF90
"""Markers of JPEG 2000: coding style, start of a tile-part."""
BLOCK = 2**16
"""Bytes whose Huffman codes are counted at a time."""


def checked(data: bytes, syntax: UID, rows: int, columns: int, signed: bool) -> tuple[bytes, bool]:
    """The only stream of encapsulated pixels, and whether it is lossy.

    Raises:
        RefusedError: several frames, an incomplete stream, or a picture of another size or kind.
    """
    fragments = io.BytesIO(data)
    offsets = parse_basic_offsets(fragments)
    parts = list(itertools.islice(generate_fragments(fragments), bounds.MOST_FRAGMENTS + 1))
    bounds.check("fragments of pixels", len(parts), bounds.MOST_FRAGMENTS)
    if len(offsets) > 1:
        raise RefusedError(Reason.MULTI_FRAME, f"{len(offsets)} frames of compressed pixels")
    stream = b"".join(parts)
    try:
        if syntax == RLELossless:
            return stream, _rle(stream, rows * columns)
        if syntax in JPEG2000TransferSyntaxes:
            return stream, _jpeg_2000(stream, rows, columns, signed)
        if syntax in (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes):
            return stream, _jpeg(stream, syntax, rows, columns)
    except struct.error:
        _truncated()
    raise RefusedError(Reason.COMPRESSED, f"{syntax.name}: no decoder that reports damage")


def _truncated() -> NoReturn:
    raise RefusedError(Reason.TRUNCATED, "compressed pixels without their end-of-image marker")


def _is_last(stream: bytes, end: int) -> None:
    """Checks that a picture ends at `end` and only padding follows."""
    if stream[end : end + 2] != END:
        _truncated()
    if stream[end + 2 :].strip(b"\0"):
        raise RefusedError(Reason.MULTI_FRAME, "more data after the end of the compressed picture")


def _same(declared: tuple[int, int], rows: int, columns: int, samples: int, bits: int) -> None:
    if samples != 1:
        raise RefusedError(Reason.COLOUR, f"{samples} components in the compressed pixels")
    if declared != (rows, columns):
        raise RefusedError(
            Reason.BAD_GEOMETRY,
            f"compressed pixels are {declared[0]} x {declared[1]}, the header says {rows} x {columns}",
        )
    if not 8 < bits <= 16:
        raise RefusedError(Reason.BIT_DEPTH, f"compressed pixels have {bits} bits")


def _rle(stream: bytes, pixels: int) -> bool:
    count, *begins = struct.unpack_from("<16L", stream)
    if count != 2:
        raise RefusedError(Reason.CORRUPT, f"{count} RLE segments; 16 bits have 2")
    for place, end in ((begins[0], begins[1]), (begins[1], len(stream))):
        length, end = 0, min(end, len(stream))
        while place < end and length <= pixels + 2:  # a pad byte looks like a pixel
            control = stream[place]
            place += 2 + control if control < 128 else 1 + (control > 128)
            length += control + 1 if control < 128 else (257 - control) % 129
        bounds.check("pixels of an RLE segment", length, pixels + 2)
    return False


def _jpeg_2000(stream: bytes, rows: int, columns: int, signed: bool) -> bool:
    if stream[:4] != b"\xff\x4f\xff\x51":
        raise RefusedError(Reason.CORRUPT, "no JPEG 2000 codestream")
    right, bottom, left, top, *tiling, samples, bits = struct.unpack_from(">8LHB", stream, 8)
    _same((bottom - top, right - left), rows, columns, samples, (bits & 127) + 1)
    if bits & 128 and not signed:  # the reverse is common: two's complement in an unsigned stream
        raise RefusedError(Reason.BIT_DEPTH, "signed JPEG 2000 with Pixel Representation 0")
    width, height, tiles_left, tiles_top = tiling
    if width == 0 or height == 0:
        raise RefusedError(Reason.CORRUPT, "tiles without a size")
    tiles = -(-(right - tiles_left) // width) * -(-(bottom - tiles_top) // height)
    bounds.check("tiles of JPEG 2000", tiles, bounds.MOST_FRAGMENTS)
    place, lossy, numbers = 2, False, set()
    while (marker := struct.unpack_from(">H", stream, place)[0]) != TILE:
        if marker == CODING:
            lossy = stream[place + 13] == 0  # the 9/7 wavelet, which is irreversible
        place += 2 + struct.unpack_from(">H", stream, place + 2)[0]
    while struct.unpack_from(">H", stream, place)[0] == TILE:
        number, length = struct.unpack_from(">HL", stream, place + 4)
        numbers.add(number)
        place = place + length if length >= 14 else stream.find(END, place)
    _is_last(stream, place)
    if numbers != {*range(tiles)}:
        raise RefusedError(Reason.TRUNCATED, f"{len(numbers)} of {tiles} tiles of JPEG 2000")
    return lossy


def _jpeg(stream: bytes, syntax: UID, rows: int, columns: int) -> bool:
    frame, place, restart, tables = 0, 2, 0, {}
    if stream[:2] != b"\xff\xd8":
        raise RefusedError(Reason.CORRUPT, "no JPEG stream")
    while True:
        marker, length = struct.unpack_from(">HH", stream, place)
        body = stream[place + 4 : place + 2 + length]
        place += 2 + length
        if marker in FRAMES:
            frame = marker
            bits, high, wide, samples = struct.unpack_from(">BHHB", body)
            _same((high, wide), rows, columns, samples, bits)
        elif marker == TABLES:
            tables |= _tables(body)
        elif marker == RESTART:
            (restart,) = struct.unpack_from(">H", body)
        elif marker == SCAN:
            break
        elif marker < 0xFFC0:
            raise RefusedError(Reason.CORRUPT, "no marker where JPEG has one")
    wanted = JPEG_LS_FRAME if syntax in JPEGLSTransferSyntaxes else LOSSLESS_FRAME
    if frame != wanted:
        raise RefusedError(Reason.CORRUPT, f"a JPEG frame {frame:X} instead of {wanted:X}")
    end = stream.find(END, place)
    _is_last(stream, end if end >= 0 else len(stream))
    if frame == JPEG_LS_FRAME:
        return body[3] > 0  # the largest difference to the original
    codes = tables.get(body[2] >> 4)
    if codes is None:
        raise RefusedError(Reason.CORRUPT, "no Huffman table of the scan")
    pixels = rows * columns
    for part in re.split(rb"\xff[\xd0-\xd7]", stream[place:end]):
        expected = min(restart or pixels, pixels)
        if not _has_codes(part.replace(b"\xff\0", b"\xff"), codes, expected):
            raise RefusedError(Reason.CORRUPT, "lossless JPEG has not one Huffman code a pixel")
        pixels -= expected
    if pixels:
        _truncated()
    return False


def _tables(body: bytes) -> dict[int, np.ndarray]:
    """Huffman tables: for each 16 bits, how many belong to the code and the value that follows."""
    tables = {}
    while body:
        counts, values = body[1:17], body[17 : 17 + sum(body[1:17])]
        bits, code, index = np.full(2**16, 255, np.uint8), 0, 0
        for length, count in enumerate(counts, 1):
            for value in values[index : index + count]:
                extra = value if value < 16 else 0
                bits[code << 16 - length : code + 1 << 16 - length] = length + extra
                code += 1
            index, code = index + count, code << 1
        tables[body[0] & 15] = bits
        body = body[17 + len(values) :]
    return tables


def _has_codes(data: bytes, bits: np.ndarray, pixels: int) -> bool:
    """Whether the data contain `pixels` Huffman codes and at most padding."""
    padded = np.frombuffer(data + b"\xff\xff", np.uint8)
    place = count = 0
    for start in range(0, len(data), BLOCK):
        block = padded[start : start + BLOCK + 2].astype(np.uint32)
        three = block[:-2] << 16 | block[1:-1] << 8 | block[2:]
        shifts = np.arange(8, 0, -1, dtype=np.uint32)
        steps = bits[(three[:, None] >> shifts) & 0xFFFF].ravel().tolist()
        at, stop = place - 8 * start, len(steps)
        while at < stop and count < pixels:
            at += steps[at]
            count += 1
        place = at + 8 * start
    return count == pixels and 0 <= 8 * len(data) - place < 16
