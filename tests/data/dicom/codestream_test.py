"""Compressed pixels are decoded only if they are one complete picture of the header's size and kind."""

import io
import struct
import time

import numpy as np
import pydicom
import pytest
from compress_dicom import SYNTAXES, compress, lossless_jpeg
from make_dicom import ct, dataset, disc, encode
from openjpeg.utils import encode_array
from pydicom import uid
from pydicom.encaps import encapsulate, generate_fragments, parse_basic_offsets
from reading import accepted, refused

from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, Repair

HU = disc(64, 80)
UNSIGNED = {"PixelRepresentation": 0, "BitsStored": 12, "RescaleIntercept": -1024}
JPEGS = [name for name in SYNTAXES if "JPEG" in name]


def stream_of(syntax: str) -> bytes:
    data = compress(dataset(HU, **UNSIGNED), syntax)
    fragments = io.BytesIO(pydicom.dcmread(io.BytesIO(data)).PixelData)
    parse_basic_offsets(fragments)
    return b"".join(generate_fragments(fragments)).rstrip(b"\0")


def file(stream: bytes, syntax: str | uid.UID, parts: int = 1, **header: int) -> bytes:
    scan = dataset(HU, **UNSIGNED | header)
    scan.file_meta.TransferSyntaxUID = uid.UID(SYNTAXES.get(syntax, syntax))
    scan.PixelData = encapsulate([stream], fragments_per_frame=parts, has_bot=parts == 1)
    scan["PixelData"].is_undefined_length = True
    return encode(scan)


def declaring(stream: bytes, rows: int, columns: int) -> bytes:
    """The stream with another size in its header."""
    if stream.startswith(b"\xff\x4f"):
        size = struct.pack(">2L", columns, rows)
        return stream[:8] + size + stream[16:24] + size + stream[32:]
    at = max(stream.find(b"\xff\xc3"), stream.find(b"\xff\xf7"))
    return stream[: at + 5] + struct.pack(">2H", rows, columns) + stream[at + 9 :]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_fragments_are_joined(syntax):
    np.testing.assert_array_equal(accepted(file(stream_of(syntax), syntax, parts=5)).hu, HU)


@pytest.mark.parametrize("syntax", JPEGS)
@pytest.mark.parametrize("size", [(80, 64), (32, 160), (63, 80), (20_000, 20_000), (0, 80)])
def test_a_stream_of_another_size_is_refused_before_it_is_decoded(syntax, size):
    start = time.process_time()
    data = file(declaring(stream_of(syntax), *size), syntax)
    refused(data, Reason.BAD_GEOMETRY, "{} x {}".format(*size), "64 x 80")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("syntax", JPEGS)
def test_a_second_picture_is_refused(syntax):
    stream = stream_of(syntax)
    refused(file(stream * 2, syntax), Reason.MULTI_FRAME)
    scan = pydicom.dcmread(io.BytesIO(file(stream, syntax)))
    for offsets in (True, False):
        scan.PixelData = encapsulate([stream, stream], has_bot=offsets)
        refused(encode(scan), Reason.MULTI_FRAME)


@pytest.mark.parametrize("syntax", JPEGS)
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_stream_whose_middle_is_missing_is_refused(syntax, share):
    stream = stream_of(syntax)
    cut = stream[: int(share * len(stream))] + b"\xff\xd9"
    assert isinstance(dicom.read(file(cut, syntax), size=None), dicom.Refusal)
    assert isinstance(
        dicom.read(file(stream[: len(stream) // 2] + stream, syntax), size=None), dicom.Refusal
    )


def test_damage_of_lossless_jpeg_is_refused():
    stream, rng = lossless_jpeg(HU + 1024, 12), np.random.default_rng(0)
    for _ in range(40):
        at = int(rng.integers(200, len(stream) - 100))
        zeroed = stream[:at] + bytes(40) + stream[at + 40 :]
        assert isinstance(dicom.read(file(zeroed, "JPEG lossless"), size=None), dicom.Refusal)


def test_other_kinds_of_stream_are_refused():
    jpeg, wavelets = stream_of("JPEG lossless"), stream_of("JPEG 2000")
    refused(file(jpeg, "JPEG 2000"), Reason.CORRUPT, "JPEG 2000")
    refused(file(wavelets, "JPEG lossless"), Reason.CORRUPT)
    refused(file(stream_of("JPEG-LS"), "JPEG lossless"), Reason.CORRUPT, "FFF7")
    refused(file(jpeg, uid.JPEGExtended12Bit), Reason.COMPRESSED, "damage")
    small = encode_array((HU + 1024 >> 4).clip(0, 255).astype(np.uint8))
    refused(file(small, "JPEG 2000"), Reason.BIT_DEPTH, "bits")
    colour = encode_array(
        np.dstack([(HU + 1024).astype(np.uint16)] * 3), photometric_interpretation=1
    )
    refused(file(colour, "JPEG 2000"), Reason.COLOUR, "3 components")


def test_a_sign_that_the_header_denies():
    signed = encode_array(HU.astype(np.int16), bits_stored=12)
    refused(file(signed, "JPEG 2000"), Reason.BIT_DEPTH, "signed JPEG 2000")
    header = {"PixelRepresentation": 1, "RescaleIntercept": 0}
    np.testing.assert_array_equal(accepted(file(signed, "JPEG 2000", **header)).hu, HU)


def test_tiles_that_are_not_there():
    stream = stream_of("JPEG 2000")
    for width, reason in ((40, Reason.TRUNCATED), (1, Reason.TOO_LARGE)):
        tiled = stream[:24] + struct.pack(">2L", width, width) + stream[32:]
        refused(file(tiled, "JPEG 2000"), reason, "tiles")


def test_lossy_compression_is_counted_and_can_be_refused():
    lossy = encode_array((HU + 1024).astype(np.uint16), bits_stored=12, compression_ratios=[3])
    for data in (
        *(file(lossy, uid.JPEG2000), file(lossy, "JPEG 2000")),
        ct(HU, LossyImageCompression="01"),
    ):
        read = accepted(data)
        assert read.repairs == (Repair.LOSSY,)
        assert np.abs(read.hu - HU).mean() < 20
        others = dicom.ALL_REPAIRS - {Repair.LOSSY}
        off = dicom.read(data, size=None, repairs=others)
        assert isinstance(off, dicom.Refusal)
        assert off.reason == Reason.REPAIR_OFF


def test_an_rle_segment_longer_than_the_picture():
    stream = stream_of("RLE")
    second = struct.unpack_from("<L", stream, 8)[0]
    long = stream[:second] + b"\x81\0" * 100 + stream[second:]
    long = long[:8] + struct.pack("<L", second + 200) + long[12:]
    refused(file(long, "RLE"), Reason.TOO_LARGE, "RLE")
