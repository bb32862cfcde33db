"""Stored values equal pydicom's, for every transfer syntax; incomplete pixels are refused."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from compress_dicom import SYNTAXES, compress
from make_dicom import ct, dataset, disc, encode, one_byte_short, with_pixel_length
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.processing import apply_rescale
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)
from reading import accepted, refused

from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, Repair, pixels


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, RLELossless, ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [0, 1])
def test_values_are_pydicoms(syntax, signed):
    original = dataset(PixelRepresentation=signed, RescaleIntercept=-1024)
    if syntax == RLELossless:
        original.compress(RLELossless)
        data = encode(original)
    elif syntax == ExplicitVRBigEndian:
        swapped = np.frombuffer(original.PixelData, "<u2").astype(">u2").tobytes()
        data = encode(dataset(PixelRepresentation=signed, syntax=syntax, RescaleIntercept=-1024,
                              stored=disc() + 1024, PixelData=swapped))  # fmt: skip
    else:
        data = encode(original) if syntax is None else ct(
            PixelRepresentation=signed, RescaleIntercept=-1024, syntax=syntax
        )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = pydicom.dcmread(io.BytesIO(data))
        want = apply_rescale(parsed.pixel_array, parsed)
    np.testing.assert_array_equal(accepted(data).hu, want)
    np.testing.assert_array_equal(want, disc())


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "header",
    [
        {"PixelRepresentation": 0, "RescaleIntercept": -1024, "BitsStored": 12},
        {"PixelRepresentation": 0, "RescaleIntercept": -1024},
        {"PixelRepresentation": 1},
    ],
    ids=str,
)
def test_compressed_values_are_the_originals(syntax, header):
    hu = disc(64, 80)
    data = compress(dataset(hu, **header), syntax)
    assert len(data) < len(ct(hu, **header))
    read = accepted(data)
    np.testing.assert_array_equal(read.hu, hu)
    assert read.dialect.transfer_syntax == SYNTAXES[syntax]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_damaged_streams_never_raise_nor_print(syntax, capfd):
    data = compress(dataset(disc(64, 64)), syntax)
    rng = np.random.default_rng(0)
    start = data.index(b"\xe0\x7f\x10\x00")
    for _ in range(60):
        changed = bytearray(data)
        for place in rng.integers(start, len(data), rng.choice([1, 5, 40])):
            changed[place] = rng.integers(256)
        read = dicom.read(bytes(changed[: rng.choice([len(data), start + 200])]), size=None)
        assert isinstance(read, (dicom.Slice, dicom.Refusal))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("syntax", [name for name in SYNTAXES if "JPEG" in name])
def test_a_stream_that_is_cut_in_its_fragment_is_refused(syntax):
    parsed = pydicom.dcmread(io.BytesIO(compress(dataset(disc(64, 64)), syntax)))
    whole = get_frame(parsed.PixelData, 0, number_of_frames=1)
    for share in (0.3, 0.6, 0.9):
        parsed.PixelData = encapsulate([whole[: int(share * len(whole))]])
        refused(encode(parsed), Reason.TRUNCATED, "end-of-image")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_one_decoder_is_asked_and_no_other(syntax, monkeypatch):
    asked = []

    class Several:
        available_plugins = ("gdcm", "pydicom", "pyjpegls", "pylibjpeg")

        def as_array(self, *parts, decoding_plugin, **layout):
            asked.append(decoding_plugin)
            raise RuntimeError("damaged")

    data = compress(dataset(disc(64, 64)), syntax)
    monkeypatch.setattr(pixels, "get_decoder", lambda uid: Several())
    refused(data, Reason.CORRUPT, "RuntimeError")
    assert asked == [{"RLE": "pydicom", "JPEG-LS": "pyjpegls"}.get(syntax, "pylibjpeg")]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_fast_path_never_sees_compressed_pixels(syntax, monkeypatch):
    data = compress(dataset(disc(64, 64)), syntax)
    other = disc(64, 64, brain=70.0).astype(np.int16)
    monkeypatch.setattr(pixels, "_decoded", lambda *parts, **layout: other)
    np.testing.assert_array_equal(accepted(data).hu, other)


def encapsulated(syntax):
    original = dataset(PixelData=encapsulate([bytes(64)]))
    original.file_meta.TransferSyntaxUID = syntax
    original["PixelData"].is_undefined_length = True
    return encode(original)


def test_compressed_without_a_decoder(monkeypatch):
    refused(encapsulated(MPEG2MPML), Reason.COMPRESSED, "MPEG2", "unknown")

    class Missing:
        available_plugins = ("gdcm",)  # none that is used

    monkeypatch.setattr(pixels, "get_decoder", lambda syntax: Missing())
    refused(encapsulated(JPEGLSLossless), Reason.COMPRESSED, "JPEG-LS", "install")


def test_a_compressed_stream_of_nothing_is_corrupt():
    refused(encapsulated(RLELossless), Reason.CORRUPT)


def test_a_missing_pad_byte():
    read = accepted(one_byte_short(-1000))  # stored 24 = 18 00, of which the zero is not there
    assert read.repairs == (Repair.PAD_BYTE,)
    assert list(read.hu[-1, -2:]) == [-1000, -1000]


@pytest.mark.parametrize(("last", "before"), [(35, 35), (-1000, 35)])
def test_a_missing_byte_that_is_no_pad_byte(last, before):
    refused(one_byte_short(last, before), Reason.TRUNCATED, str(24 * 24 * 2 - 1))


def test_two_bytes_short():
    data = with_pixel_length(ct(), 24 * 24 * 2 - 2)[:-2]
    refused(data, Reason.TRUNCATED, str(24 * 24 * 2 - 2))


def test_a_pixel_length_that_lies_is_harmless_while_the_pixels_are_there():
    np.testing.assert_array_equal(accepted(with_pixel_length(ct(), 0x7FFFFFF0)).hu, disc())
