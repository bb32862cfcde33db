"""Declared and decoded sizes are bounded before decoding: a bomb costs little time and memory."""

import struct
import tracemalloc
import zlib

import pytest
from make_dicom import ct, dataset, disc, encode
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from reading import accepted, refused

from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, bounds

SEQUENCE = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff"
ITEM, ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
PATIENT = b"\x10\0\x20\0"


def before_patient(data: bytes, element: bytes) -> bytes:
    at = data.index(PATIENT, 200)
    return data[:at] + element + data[at:]


def deflated(megabytes: int) -> bytes:
    """A sound file and an element of zeros behind it."""
    plain, file = ct(), ct(syntax=DeflatedExplicitVRLittleEndian)
    body, head = (132 + 12 + struct.unpack_from("<L", data, 140)[0] for data in (plain, file))
    stream = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [plain[body:], b"\xfc\xff\xfc\xffOB\0\0", struct.pack("<L", megabytes << 20)]
    packed = [stream.compress(part) for part in parts + [bytes(2**20)] * megabytes]
    return file[:head] + b"".join(packed) + stream.flush()


def rle(rows: int, columns: int, decoded: int) -> bytes:
    segment = b"\x81\0" * (decoded // 128)
    scan = dataset(PixelRepresentation=0, RescaleIntercept=-1024)
    scan.Rows, scan.Columns = rows, columns
    head = struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13)
    scan.PixelData = encapsulate([head + segment + segment])
    scan["PixelData"].is_undefined_length = True
    scan.file_meta.TransferSyntaxUID = RLELossless
    return encode(scan)


def long_value(length: int) -> bytes:
    plain = ct(syntax=ImplicitVRLittleEndian)
    head = struct.pack("<HHL", 0x28, 0x30, 8)
    assert head in plain
    return plain.replace(
        head + b"0.5\\0.5 ", struct.pack("<HHL", 0x28, 0x30, length) + b"1\\" * (length // 2)
    )


BOMBS = {
    "deflated": lambda: deflated(200),
    "rows and columns": lambda: rle(20_000, 20_000, 400_000_000),
    "side": lambda: ct(disc(bounds.LARGEST_SIDE + 1, 2)),
    "file": lambda: ct() + bytes(bounds.LARGEST_FILE),
    "value": lambda: long_value(16_000_000),
    "items": lambda: before_patient(
        ct(), SEQUENCE + (ITEM + bytes(4)) * 200_000 + SEQUENCE_END
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_little_cost(name):
    data = BOMBS[name]()
    tracemalloc.start()
    try:
        result = dicom.read(data, size=None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(result, dicom.Refusal)
    assert result.reason == Reason.TOO_LARGE
    assert "at most" in result.detail
    assert peak < 100 * 2**20


def test_a_sparse_file_is_not_read(tmp_path):
    path = tmp_path / "sparse.dcm"
    path.write_bytes(ct())
    with path.open("r+b") as file:
        file.truncate(2**40)
    refused(path, Reason.TOO_LARGE, f"{2**40:,}", f"{bounds.LARGEST_FILE:,}")


def test_a_deflated_file_that_ends_early():
    refused(ct(syntax=DeflatedExplicitVRLittleEndian)[:-30], Reason.TRUNCATED, "deflated")


@pytest.mark.parametrize("depth", [10, 1000, 20_000])
def test_nested_sequences_are_read_or_refused(depth):
    opened, closed = SEQUENCE + ITEM + b"\xff\xff\xff\xff", ITEM_END + SEQUENCE_END
    data = before_patient(ct(), opened * depth + closed * depth)
    if depth == 10:
        accepted(data)
    else:
        refused(data, Reason.CORRUPT, "RecursionError")


def test_an_element_that_is_there_twice():
    plain = ct()
    intercept = plain[plain.index(b"\x28\0\x52\x10DS") : plain.index(b"\x28\0\x53\x10DS")]
    twice = plain.replace(intercept, intercept + intercept.replace(b"0.0", b"9.0"))
    refused(twice, Reason.CORRUPT, "RescaleIntercept is there twice")
    pixels = plain[-24 * 24 * 2 - 12 :]
    refused(plain + pixels, Reason.CORRUPT, "PixelData is there twice")
    accepted(plain.replace(intercept, b"") + intercept)  # out of order, but once
