"""Every reason and repair has a file that springs it; values are pydicom's; fuzz never raises."""

import collections
import io
import struct
import warnings

import numpy as np
import pydicom
import pytest
import scipy.ndimage
from compress_dicom import SYNTAXES, compress
from make_dicom import ct, dataset, disc, encode
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.processing import apply_rescale
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)
from real_ct import REAL, needs_real

from fl_jax.core.types import AIR
from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, Repair, pixels


def accepted(data, size=None):
    read = dicom.read(data, size=size)
    assert isinstance(read, dicom.Slice), read
    return read


def refused(data, reason, *words):
    read = dicom.read(data, size=None)
    assert isinstance(read, dicom.Refusal), f"not refused: {read}"
    assert read.reason == reason, read
    for word in words:
        assert word in read.detail
    return read


# --- what a good file gives


def test_a_plain_file():
    read = accepted(ct())
    np.testing.assert_array_equal(read.hu, disc())
    assert read.hu.dtype == np.int16
    assert (read.patient, read.study, read.series) == ("P1", "1.2.3", "1.2.3.1")
    assert (read.position, read.instance, read.thickness, read.tilt) == (42.5, 7, 5.0, 0.0)
    assert (read.shape, read.spacing, read.repairs) == ((24, 24), (0.5, 0.5), ())
    assert read.dialect[:6] == (16, True, 1.0, 0.0, "H30s", "nobody")


def test_image_is_the_name_of_the_file(tmp_path):
    path = tmp_path / "ID_0a1b.dcm"
    path.write_bytes(ct())
    assert accepted(path).image == accepted(str(path)).image == "ID_0a1b"
    named = dicom.read(ct(), size=None, name="given")
    assert isinstance(named, dicom.Slice)
    assert named.image == "given"


@pytest.mark.parametrize(
    "header",
    [
        {"RescaleIntercept": "-1024.000000", "BitsStored": 12, "PixelRepresentation": 0},
        {"RescaleIntercept": -1024, "BitsStored": 12, "PixelRepresentation": 0},
        {"RescaleIntercept": -8192, "PixelRepresentation": 0},
        {"RescaleSlope": 0.5, "RescaleIntercept": -1024, "PixelRepresentation": 0},
        {"WindowCenter": [40, 80], "WindowWidth": [80, 200]},
        {"StudyInstanceUID": "ID_fd8ea677", "SeriesInstanceUID": "ID_8be2", "PatientID": "ID_1"},
        {"syntax": ImplicitVRLittleEndian},
        {"syntax": DeflatedExplicitVRLittleEndian},
        {"SliceThickness": None, "PixelSpacing": None, "ImageType": None, "InstanceNumber": None},
        {"PhotometricInterpretation": "MONOCHROME1"},  # HU as the standard has it
    ],
    ids=str,
)
def test_odd_but_valid(header):
    read = accepted(ct(**header))
    np.testing.assert_array_equal(read.hu, disc())
    assert read.repairs == ()


def test_missing_geometry_is_nan():
    read = accepted(ct(SliceThickness=None, PixelSpacing="", InstanceNumber=None))
    assert np.isnan([read.thickness, *read.spacing]).all()
    assert read.instance == -1


def test_a_gantry_tilt_of_twenty_degrees_is_axial():
    tilt = np.deg2rad(20)
    orientation = [1, 0, 0, 0, round(np.cos(tilt), 6), round(-np.sin(tilt), 6)]
    read = accepted(ct(ImageOrientationPatient=orientation, ImagePositionPatient=[-120, -100, 30]))
    # normal = row x column = (0, sin, cos)
    assert read.position == pytest.approx(-100 * np.sin(tilt) + 30 * np.cos(tilt), abs=1e-3)


def test_other_alphabets_group_by_their_own_name():
    made = dataset(PatientID="Käthe", SpecificCharacterSet="ISO_IR 100")
    assert accepted(encode(made)).patient == "Käthe"


# --- the same values as pydicom


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, RLELossless, ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [0, 1])
def test_values_are_pydicoms(syntax, signed):
    made = dataset(PixelRepresentation=signed, RescaleIntercept=-1024)
    if syntax == RLELossless:
        made.compress(RLELossless)
        data = encode(made)
    elif syntax == ExplicitVRBigEndian:
        swapped = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
        data = encode(dataset(PixelRepresentation=signed, syntax=syntax, RescaleIntercept=-1024,
                              stored=disc() + 1024, PixelData=swapped))  # fmt: skip
    else:
        data = encode(made) if syntax is None else ct(
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
    refused(data, Reason.CORRUPT, "damaged")
    assert asked == [{"RLE": "pydicom", "JPEG-LS": "pyjpegls"}.get(syntax, "pylibjpeg")]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_fast_path_never_sees_compressed_pixels(syntax, monkeypatch):
    data = compress(dataset(disc(64, 64)), syntax)
    other = disc(64, 64, brain=70.0).astype(np.int16)
    monkeypatch.setattr(pixels, "_decoded", lambda *parts, **layout: other)
    np.testing.assert_array_equal(accepted(data).hu, other)


# --- refusals

REFUSED = {
    "colour": (Reason.COLOUR, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}),
    "palette": (Reason.COLOUR, {"PhotometricInterpretation": "PALETTE COLOR"}),
    "mr": (Reason.NOT_CT, {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}),
    "no modality": (Reason.NOT_CT, {"Modality": None}),
    "dose report": (Reason.NOT_CT, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}),
    "localizer": (Reason.LOCALIZER, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    "derived": (Reason.DERIVED, {"ImageType": ["DERIVED", "PRIMARY", "MPR"]}),
    "secondary": (Reason.DERIVED, {"ImageType": ["ORIGINAL", "SECONDARY"]}),
    "capture": (Reason.DERIVED, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}),
    "frames": (Reason.MULTI_FRAME, {"NumberOfFrames": 2}),
    "enhanced": (Reason.MULTI_FRAME, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}),
    "coronal": (Reason.NOT_AXIAL, {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}),
    "sagittal": (Reason.NOT_AXIAL, {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}),
    "no orientation": (Reason.BAD_GEOMETRY, {"ImageOrientationPatient": None}),
    "empty position": (Reason.BAD_GEOMETRY, {"ImagePositionPatient": ""}),
    "not orthonormal": (Reason.BAD_GEOMETRY, {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}),
    "no rows": (Reason.BAD_GEOMETRY, {"Rows": None}),
    "zero columns": (Reason.BAD_GEOMETRY, {"Columns": 0}),
    "fewer rows than pixels": (Reason.BAD_GEOMETRY, {"Rows": 23}),
    "no photometric": (Reason.PHOTOMETRIC, {"PhotometricInterpretation": None}),
    "odd photometric": (Reason.PHOTOMETRIC, {"PhotometricInterpretation": "XYZ"}),
    "8 bit": (Reason.BIT_DEPTH, {"BitsAllocated": 8, "BitsStored": 8}),
    "32 bit": (Reason.BIT_DEPTH, {"BitsAllocated": 32, "BitsStored": 32}),
    "high bit": (Reason.BIT_DEPTH, {"BitsStored": 12, "HighBit": 15}),
    "no bits": (Reason.BIT_DEPTH, {"BitsStored": None}),
    "above the bits": (
        Reason.BIT_DEPTH,
        {"BitsStored": 12, "PixelRepresentation": 0, "stored": disc() + 5000},
    ),
    "no sign": (Reason.BIT_DEPTH, {"PixelRepresentation": None}),
    "no slope": (Reason.BAD_RESCALE, {"RescaleSlope": None}),
    "no intercept": (Reason.BAD_RESCALE, {"RescaleIntercept": None}),
    "empty slope": (Reason.BAD_RESCALE, {"RescaleSlope": ""}),
    "slope 0": (Reason.BAD_RESCALE, {"RescaleSlope": 0}),
    "unit": (Reason.BAD_RESCALE, {"RescaleType": "US"}),
    "no pixels": (Reason.EMPTY, {"PixelData": None}),
    "length 0": (Reason.EMPTY, {"PixelData": b""}),
    "constant": (Reason.EMPTY, {"stored": np.full((24, 24), -7)}),
    "short": (Reason.TRUNCATED, {"PixelData": bytes(24 * 24)}),
    "two frames of pixels": (Reason.MULTI_FRAME, {"PixelData": bytes(24 * 24 * 4)}),
    "lost intercept": (Reason.OUT_OF_RANGE, {"stored": disc() + 1100}),
    "lost sign": (
        Reason.OUT_OF_RANGE,
        {"PixelRepresentation": 0, "stored": disc() % 65536, "RescaleIntercept": -1},
    ),
    "12 bits, no air": (
        Reason.BAD_RESCALE,
        {"BitsStored": 12, "PixelRepresentation": 0, "RescaleSlope": 2, "stored": disc() % 4096},
    ),
    "no patient": (Reason.MISSING_IDENTIFIERS, {"PatientID": None}),
    "empty study": (Reason.MISSING_IDENTIFIERS, {"StudyInstanceUID": ""}),
    "no series": (Reason.MISSING_IDENTIFIERS, {"SeriesInstanceUID": None}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    reason, header = REFUSED[name]
    refused(ct(**header), reason)


def encapsulated(syntax):
    made = dataset(PixelData=encapsulate([bytes(64)]))
    made.file_meta.TransferSyntaxUID = syntax
    made["PixelData"].is_undefined_length = True
    return encode(made)


def test_compressed_without_a_decoder(monkeypatch):
    refused(encapsulated(MPEG2MPML), Reason.COMPRESSED, "MPEG2", "unknown")

    class Missing:
        available_plugins = ("gdcm",)  # none that is used

    monkeypatch.setattr(pixels, "get_decoder", lambda syntax: Missing())
    refused(encapsulated(JPEGLSLossless), Reason.COMPRESSED, "JPEG-LS", "install")


def test_a_compressed_stream_of_nothing_is_corrupt():
    refused(encapsulated(RLELossless), Reason.CORRUPT)


def test_every_reason_has_a_test():
    elsewhere = {
        *(Reason.UNREADABLE, Reason.NOT_DICOM, Reason.CORRUPT, Reason.COMPRESSED),
        Reason.REPAIR_OFF,
        Reason.CRASHED,  # in parallel_test
    }
    assert {reason for reason, _ in REFUSED.values()} | elsewhere == set(Reason)


def test_a_slope_that_is_not_a_number():
    good = ct(RescaleSlope="1.0")
    assert good.count(b"1.0 ") == 1
    for bad in (b"nan ", b"inf ", b"1.0x", b"1\\1 "):
        refused(good.replace(b"1.0 ", bad), Reason.BAD_RESCALE)


def test_not_dicom(tmp_path):
    for data in (b"", b"not a scan", b"PK\3\4" * 100, bytes(200), ct()[132:]):
        refused(data, Reason.NOT_DICOM)
    refused(tmp_path, Reason.UNREADABLE)
    refused(tmp_path / "missing.dcm", Reason.UNREADABLE, "missing.dcm")


def test_a_size_that_is_none_is_the_callers_error():
    with pytest.raises(ValueError, match="size is 0"):
        dicom.read(ct(), size=0)


def test_a_file_cut_anywhere_is_refused_and_never_raises():
    whole = ct()
    reasons = collections.Counter(
        refused(whole[:length], dicom.read(whole[:length], size=8).reason).reason  # type: ignore[union-attr]
        for length in [*range(0, 1500, 7), *range(1500, len(whole), 61), len(whole) - 1]
    )
    assert set(reasons) <= set(Reason)
    refused(whole[:-1], Reason.TRUNCATED)
    refused(whole[:200], Reason.TRUNCATED)


def test_flipped_bytes_never_raise():
    rng = np.random.default_rng(0)
    whole = np.frombuffer(ct(), np.uint8)
    for _ in range(500):
        bad = whole.copy()
        at = rng.integers(132, len(whole) - 24 * 24 * 2, rng.integers(1, 4))
        bad[at] = rng.integers(0, 256, len(at))
        assert isinstance(dicom.read(bad.tobytes(), size=8), dicom.Slice | dicom.Refusal)


def with_pixel_length(data, length):
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    return data[:at] + struct.pack("<I", length) + data[at + 4 :]


def one_byte_short(last, before=-1000):
    hu = disc()
    hu[-1, -2:] = before, last
    return with_pixel_length(ct(hu, RescaleIntercept=-1024), 24 * 24 * 2 - 1)[:-1]


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


def wrapped():
    hu = np.maximum(disc(), -1000)
    return ct(stored=hu % 4096, BitsStored=12, PixelRepresentation=0)


def inverted():
    return ct(-disc(), PhotometricInterpretation="MONOCHROME1")


def padded():
    hu = disc()
    hu[0] = -2000
    return ct(hu)


def unextended():
    return ct(stored=disc() % 4096, BitsStored=12, PixelRepresentation=1)


@pytest.mark.parametrize(
    ("repair", "data"),
    [
        (Repair.WRAPAROUND, wrapped()),
        (Repair.INVERTED, inverted()),
        (Repair.PADDING, padded()),
        (Repair.SIGN, unextended()),
        (Repair.PAD_BYTE, one_byte_short(-1000)),
    ],
)
def test_a_repair_that_is_switched_off_is_a_refusal(repair, data):
    assert accepted(data).repairs == (repair,)
    others = dicom.ALL_REPAIRS - {repair}
    read = dicom.read(data, size=None, repairs=others)
    assert isinstance(read, dicom.Refusal)
    assert (read.reason, repair.name in read.detail) == (Reason.REPAIR_OFF, True)
    only = dicom.read(data, size=None, repairs=frozenset({repair}))
    assert isinstance(only, dicom.Slice)


def test_a_pixel_length_that_lies_is_harmless_while_the_pixels_are_there():
    np.testing.assert_array_equal(accepted(with_pixel_length(ct(), 0x7FFFFFF0)).hu, disc())


# --- repairs


def test_wraparound_by_the_published_rule():
    hu = np.maximum(disc(), -1000)  # such writers keep -1000 HU and more
    hu[3, 3] = 3000
    raw = hu % 4096
    read = accepted(ct(stored=raw, BitsStored=12, PixelRepresentation=0, RescaleIntercept=0))
    x = raw + 1000
    x[x >= 4096] -= 4096
    np.testing.assert_array_equal(read.hu, x - 1000)
    np.testing.assert_array_equal(read.hu, hu)
    assert read.repairs == (Repair.WRAPAROUND,)


@pytest.mark.parametrize("intercept", [-1024, -100])
def test_no_wraparound_where_air_has_room(intercept):
    stored = np.clip(disc() - intercept, 0, 4095)
    read = dicom.read(
        ct(stored=stored, BitsStored=12, PixelRepresentation=0, RescaleIntercept=intercept),
        size=None,
    )
    assert isinstance(read, dicom.Slice)
    assert Repair.WRAPAROUND not in read.repairs


@pytest.mark.parametrize("padding", [-1500, -2000, -3024])
def test_padding_becomes_air(padding):
    hu = disc()
    hu[:3] = padding
    read = accepted(ct(hu))
    assert (read.hu[:3] == -1024).all()
    np.testing.assert_array_equal(read.hu[3:], np.maximum(disc()[3:], -1024))
    assert read.repairs == (Repair.PADDING,)


def test_noise_in_air_is_no_padding_and_metal_is_clipped():
    hu = disc()
    hu[0, 0], hu[5, 5] = -1060, 9000
    read = accepted(ct(hu))
    assert read.repairs == ()
    assert (read.hu[0, 0], read.hu[5, 5]) == dicom.HU_RANGE


@pytest.mark.parametrize("bits", [12, 15])
def test_sign_bit_is_extended(bits):
    hu = np.clip(disc(), -1000, 2047)
    read = accepted(ct(stored=hu % 2**bits, BitsStored=bits))
    np.testing.assert_array_equal(read.hu, hu)
    assert read.repairs == (Repair.SIGN,)


@pytest.mark.parametrize(("bits", "signed"), [(12, 0), (16, 1)])
def test_inverted_monochrome1(bits, signed):
    header = {"BitsStored": bits, "PixelRepresentation": signed}
    header |= {"RescaleIntercept": 0 if signed else -1024}
    stored = disc() - header["RescaleIntercept"]
    inverted = (-1 if signed else 2**bits - 1) - stored
    read = accepted(ct(stored=inverted, PhotometricInterpretation="MONOCHROME1", **header))
    np.testing.assert_array_equal(read.hu, disc())
    assert read.repairs == (Repair.INVERTED,)


def test_monochrome1_without_air_either_way():
    hu = np.where(disc() < -500, 0, disc())
    hu[12, 12] = -900
    refused(ct(hu, PhotometricInterpretation="MONOCHROME1"), Reason.PHOTOMETRIC)


# --- size


def test_halving_is_the_mean_of_four_and_the_studys_bilinear():
    hu = disc(32, 32)
    read = accepted(ct(hu), size=16)
    mean = np.clip(hu, *dicom.HU_RANGE).reshape(16, 2, 16, 2).mean((1, 3))
    np.testing.assert_allclose(read.hu, mean, atol=0.51)
    bilinear = scipy.ndimage.affine_transform(
        np.clip(hu, *dicom.HU_RANGE).astype(float), [2, 2], 0.5, (16, 16), order=1
    )
    np.testing.assert_allclose(read.hu, bilinear, atol=0.51)


def test_odd_factor_keeps_the_mean():
    hu = np.clip(disc(30, 30), *dicom.HU_RANGE)
    read = accepted(ct(hu), size=12)
    assert read.hu.shape == (12, 12)
    assert read.hu.mean() == pytest.approx(hu.mean(), abs=1)


@pytest.mark.parametrize(
    ("shape", "spacing", "inside"),
    [
        ((16, 32), [1, 1], (slice(4, 12), slice(0, 16))),  # wide: air above and below
        ((32, 16), [1, 1], (slice(0, 16), slice(4, 12))),  # tall: air left and right
        ((32, 32), [1, 0.5], (slice(0, 16), slice(4, 12))),  # square in pixels, tall in mm
        ((32, 16), [0.5, 1], (slice(0, 16), slice(0, 16))),  # tall in pixels, square in mm
    ],
)
def test_what_is_not_square_is_centred_on_air(shape, spacing, inside):
    hu = np.full(shape, 40)
    hu[0, 0] = -1000  # something below water, and not constant
    read = accepted(ct(hu, PixelSpacing=spacing), size=16)
    around = np.ones((16, 16), bool)
    around[inside] = False
    assert (read.hu[around] == AIR).all()
    assert np.median(read.hu[inside]) == 40
    assert (read.hu[inside] == 40).mean() > 0.98


def test_a_small_picture_grows():
    read = accepted(ct(disc(16, 16)), size=40)
    assert read.hu.shape == (40, 40)
    assert read.hu[20, 20] == pytest.approx(35, abs=15)


# --- quiet, and real scans


def test_nothing_reaches_the_screen(capfd, recwarn, caplog):
    data = ct(StudyInstanceUID="ID_x", RescaleIntercept="-0000.0000000000000000")
    caplog.clear()
    accepted(data)
    refused(data[:-1], Reason.TRUNCATED)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert not caplog.records


@needs_real
def test_real_head_is_read():
    slices = [accepted(path, size=256) for path in sorted((REAL / "ct_head_ge").glob("*.dcm"))]
    assert len(slices) == 28
    assert len({(s.patient, s.study, s.series) for s in slices}) == 1
    positions = np.array([s.position for s in slices])
    assert (np.diff(positions) > 0).all()
    assert {s.thickness for s in slices} == {4.0, 7.0}
    assert {s.tilt for s in slices} == {18.5}
    assert {s.repairs for s in slices} == {(Repair.PADDING,)}
    brain = slices[20].hu[100:150, 110:140]
    assert 15 < np.median(brain) < 45


@needs_real
def test_real_head_has_pydicoms_values():
    for path in sorted((REAL / "ct_head_ge").glob("*.dcm"))[::9]:
        parsed = pydicom.dcmread(path)
        want = apply_rescale(parsed.pixel_array, parsed)
        np.testing.assert_array_equal(accepted(path).hu, np.clip(want, *dicom.HU_RANGE))


@needs_real
def test_real_head_has_an_independent_readers_values():
    sitk = pytest.importorskip("SimpleITK")
    paths = sorted((REAL / "ct_head_ge").glob("*.dcm"))
    assert len(paths) == 28
    for path in paths:
        want = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
        np.testing.assert_array_equal(accepted(path).hu, np.clip(want, *dicom.HU_RANGE))


@needs_real
def test_real_oddities_are_refused_by_name():
    folder = REAL / "ct_philips_oddities"
    found = {
        f"{path.parent.name}/{path.name}": dicom.read(path, size=64).reason  # type: ignore[union-attr]
        for path in folder.glob("*/*")
    }
    assert found == {
        "localizers/DIRFILE": Reason.NOT_DICOM,
        "localizers/I10": Reason.LOCALIZER,
        "summary_pages/DIRFILE": Reason.NOT_DICOM,
        **{f"summary_pages/I{n}0": Reason.DERIVED for n in (1, 2, 3)},
        **{f"summary_pages/I{n}0": Reason.COLOUR for n in (4, 5, 6)},
    }


# --- what a broken file may put into a table or a terminal


def test_a_refusals_detail_is_one_short_line():
    said = refused(ct(Modality="C\x1b[2JT"), Reason.NOT_CT, r"\x1b[2J").detail
    assert said.isprintable()
    long = refused(ct(SOPClassUID="1." + "9" * 5000), Reason.NOT_CT).detail
    assert len(long) == 300
    assert long.endswith(" ...")


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["A\nB", "A\x1bB", "A" * 257])
def test_an_identifier_is_one_printable_line(keyword, value):
    refused(ct(**{keyword: value}), Reason.CORRUPT, keyword)


@pytest.mark.parametrize("thickness", ["0", "-5", "inf", "nan"])
def test_a_thickness_that_is_none_is_missing(thickness):
    assert np.isnan(accepted(ct(SliceThickness=thickness)).thickness)


def test_a_tilt_beyond_a_quarter_turn_is_missing():
    assert np.isnan(accepted(ct(GantryDetectorTilt="91")).tilt)
    assert accepted(ct(GantryDetectorTilt="-20.5")).tilt == -20.5
