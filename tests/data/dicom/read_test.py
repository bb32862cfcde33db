"""A good file gives a slice; every reason for refusal has a file that triggers it; nothing prints."""

import collections
import gzip
import os
import re
import socket
import sys

import numpy as np
import pydicom
import pytest
from make_dicom import ct, dataset, disc, encode
from pydicom.pixels.processing import apply_rescale
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from reading import accepted, refused
from real_ct import REAL, needs_real

from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, Repair


def after_sequence():
    """A file as scanners write it, with a sequence of undefined length before the Patient ID."""
    original = dataset(
        PatientID="Käthe-1", SpecificCharacterSet="ISO_IR 100", syntax=ImplicitVRLittleEndian
    )
    original.ReferencedImageSequence = [pydicom.Dataset()]
    original["ReferencedImageSequence"].is_undefined_length = True
    return encode(original)


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
    original = dataset(PatientID="Käthe", SpecificCharacterSet="ISO_IR 100")
    assert accepted(encode(original)).patient == "Käthe"


def padding(air: int) -> np.ndarray:
    """Padding, but for `air` pixels of air."""
    hu = np.full((24, 24), -2000)
    hu.flat[:air] = -1000
    return hu


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
    "no orientation": (Reason.MISSING_GEOMETRY, {"ImageOrientationPatient": None}),
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
    "slope -1": (Reason.BAD_RESCALE, {"stored": -disc(), "RescaleSlope": -1}),
    "table": (Reason.BAD_RESCALE, {"ModalityLUTSequence": [pydicom.Dataset()]}),
    "bone around": (Reason.OUT_OF_RANGE, {"stored": -disc()}),
    "unit": (Reason.BAD_RESCALE, {"RescaleType": "US"}),
    "no pixels": (Reason.EMPTY, {"PixelData": None}),
    "length 0": (Reason.EMPTY, {"PixelData": b""}),
    "constant": (Reason.EMPTY, {"stored": np.full((24, 24), -7)}),
    "short": (Reason.TRUNCATED, {"PixelData": bytes(24 * 24)}),
    "two frames of pixels": (Reason.MULTI_FRAME, {"PixelData": bytes(24 * 24 * 4)}),
    "intercept -1e5": (Reason.BLANK, {"stored": disc(), "RescaleIntercept": -1e5}),
    "slope 0.001": (
        Reason.BLANK,
        {"stored": disc(), "RescaleSlope": 0.001, "RescaleIntercept": -1024},
    ),
    "slope 0.05": (
        Reason.BLANK,
        {"stored": disc(), "RescaleSlope": 0.05, "RescaleIntercept": -1000},
    ),
    "nearly all padding": (Reason.BLANK, {"hu": padding(1)}),
    "nearly constant": (Reason.BLANK, {"hu": np.where(padding(1) < -1500, -1000, -900)}),
    "slope 0.1": (Reason.OUT_OF_RANGE, {"stored": disc(), "RescaleSlope": 0.05}),
    "half the slope": (Reason.OUT_OF_RANGE, {"stored": disc(), "RescaleSlope": 0.5}),
    "half the slope from air": (
        Reason.OUT_OF_RANGE,
        {"stored": disc() + 1024, "RescaleSlope": 0.5, "RescaleIntercept": -1024},
    ),
    "twice the slope": (Reason.OUT_OF_RANGE, {"stored": disc(), "RescaleSlope": 2}),
    "huge slope": (Reason.OUT_OF_RANGE, {"stored": disc(), "RescaleSlope": "1e300"}),
    "half the intercept": (
        Reason.OUT_OF_RANGE,
        {"stored": disc() + 1024, "RescaleIntercept": -512},
    ),
    "twice the intercept": (
        Reason.OUT_OF_RANGE,
        {"stored": disc() + 1024, "RescaleIntercept": -2048},
    ),
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


@pytest.mark.parametrize("radius", [1.5, 1.0])
def test_a_slice_of_air_above_the_vertex_is_read(radius):
    hu = np.rint(np.random.default_rng(0).normal(-1000, 6, (64, 64)))
    hu[np.hypot(*np.mgrid[-1:1:64j, -1:1:64j]) > radius] = -2000  # outside the scanner's circle
    assert accepted(ct(hu)).hu.max() < -950


def test_every_reason_has_a_test():
    elsewhere = {
        *(Reason.UNREADABLE, Reason.NOT_DICOM, Reason.CORRUPT, Reason.COMPRESSED),
        Reason.REPAIR_OFF,
        *(Reason.CRASHED, Reason.TOO_LARGE),  # in parallel_test and bounds_test
        Reason.MISSING_SPACING,  # in resample_test
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
    refused(gzip.compress(ct()), Reason.NOT_DICOM, "unpack it")
    refused(tmp_path, Reason.UNREADABLE)
    refused(tmp_path / "missing.dcm", Reason.UNREADABLE, "No such file")


def test_only_regular_files_are_read(tmp_path):
    fifo, socket_path = tmp_path / "fifo.dcm", tmp_path / "socket.dcm"
    os.mkfifo(fifo)
    refused(fifo, Reason.UNREADABLE, "pipe")
    refused("/dev/zero", Reason.UNREADABLE, "device")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(socket_path))
        refused(socket_path, Reason.UNREADABLE)


@pytest.mark.parametrize("change", ["grow", "shrink", "touch"])
def test_a_file_that_changes_while_it_is_read_is_refused(change, tmp_path, monkeypatch):
    path, real = tmp_path / "a.dcm", os.read
    path.write_bytes(ct())

    def changing(descriptor, count):
        if change == "grow":
            os.truncate(path, count + 5)
        elif change == "shrink":
            os.truncate(path, count - 5)
        data = real(descriptor, count)
        if change == "touch":
            os.utime(path, (1, 1))
        return data

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", changing)
        refused(path, Reason.UNREADABLE, "changed while it was read")


TEXTS = {
    "CR": b"H30\rs",
    "LF": b"H\n30",
    "NUL": b"H\0 30",
    "ESC": b"H\x1b[2J",
    "bidi": "H\u202e3".encode(),
    "long": b"H" * 10_000,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("keyword", ["ConvolutionKernel", "Manufacturer"])
def test_a_text_of_the_scanner_is_one_printable_line(keyword, name):
    data = ct(**{keyword: "MARK"}, SpecificCharacterSet="ISO_IR 192")
    assert data.count(b"\x04\0MARK") == 1
    value = TEXTS[name] + b" " * (len(TEXTS[name]) % 2)
    read = accepted(data.replace(b"\x04\0MARK", len(value).to_bytes(2, "little") + value))
    text = read.dialect.kernel if keyword == "ConvolutionKernel" else read.dialect.manufacturer
    assert text.isprintable()
    assert 0 < len(text) <= 64


@pytest.mark.parametrize("number", ["1e300", "9" * 16, "nan", "-inf", "1_0"])
def test_an_instance_number_beyond_32_bits_is_missing(number):
    data = ct(InstanceNumber=7)
    element = b"\x20\0\x13\0IS\x02\0" + b"7 "
    assert element in data
    value = number.encode() + b" " * (len(number) % 2)
    data = data.replace(element, element[:6] + len(value).to_bytes(2, "little") + value)
    assert accepted(data).instance == -1


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
    reasons = {
        f"{path.parent.name}/{path.name}": dicom.read(path, size=64).reason  # type: ignore[union-attr]
        for path in folder.glob("*/*")
    }
    assert reasons == {
        "localizers/DIRFILE": Reason.NOT_DICOM,
        "localizers/I10": Reason.LOCALIZER,
        "summary_pages/DIRFILE": Reason.NOT_DICOM,
        **{f"summary_pages/I{n}0": Reason.DERIVED for n in (1, 2, 3)},
        **{f"summary_pages/I{n}0": Reason.COLOUR for n in (4, 5, 6)},
    }


def test_a_refusals_detail_is_one_short_line():
    said = refused(ct(Modality="C\x1b[2JT"), Reason.NOT_CT).detail
    assert said == "Modality is (6 characters)"
    long = refused(ct(ImageType=["DERIVED"] + ["PRIMARY"] * 500), Reason.DERIVED).detail
    assert len(long) == 300
    assert long.endswith(" ...")


PLANTED = "Wagenknecht"


@pytest.mark.parametrize(
    "header",
    [
        {"Modality": PLANTED},
        {"ImageType": ["DERIVED", PLANTED]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", PLANTED]},
        {"SOPClassUID": f"1.2.{PLANTED}"},
        {"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.7.{PLANTED}"},
        {"PhotometricInterpretation": PLANTED},
        {"PhotometricInterpretation": f"RGB {PLANTED}"},
        {"RescaleType": PLANTED},
        {"PatientID": f"{PLANTED}\a"},
        {"PatientID": PLANTED * 30},
        {"StudyInstanceUID": f"1.2.\n{PLANTED}"},
        {"RescaleSlope": None, "RescaleType": PLANTED},
        {"NumberOfFrames": 2, "ImageType": ["ORIGINAL", PLANTED]},
    ],
)
def test_a_detail_quotes_no_text_of_a_header(header):
    data = ct(**header)
    assert PLANTED.encode() in data
    read = dicom.read(data, size=None)
    assert isinstance(read, dicom.Refusal)
    assert PLANTED.lower() not in read.detail.lower()


@pytest.mark.parametrize("vr", ["FD", "DS", "IS", "UI", "DA", "AT", "UL", "ZZ"])
def test_text_of_any_vr_is_read_or_refused_without_its_bytes(vr):
    """pydicom's exceptions quote the value that they could not convert."""
    data = ct(PatientID="Wagenknxcht").replace(b"Wagenknxcht", b"Wagenkn\xe4cht")
    read = dicom.read(data.replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0" + vr.encode()), size=None)
    assert isinstance(read, dicom.Slice)
    assert read.patient == "Wagenknächt"
    number = ct(SpecificCharacterSet="ISO_IR 100").replace(
        b"CS\n\0ISO_IR 100", vr.encode() + b"\n\0Wagenkn\xe4ch"
    )
    read = dicom.read(number, size=None)
    assert isinstance(read, dicom.Slice) or "Wagen" not in read.detail


def test_errors_of_libraries_are_named_by_their_place(monkeypatch):
    def fail(data):
        raise ValueError("bad value Wagenknecht")

    monkeypatch.setattr(sys.modules["fl_jax.data.dicom.parse"], "parse", fail)
    said = refused(ct(), Reason.CORRUPT).detail
    assert re.fullmatch(r"ValueError at read_test\.py, line \d+", said)


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


@pytest.mark.parametrize(
    "data",
    [ct(PatientID="Käthe-1", SpecificCharacterSet="ISO_IR 100"), after_sequence()],
    ids=["explicit", "implicit, after a sequence of undefined length"],
)
def test_the_patient_id_is_read_from_a_files_beginning(data, tmp_path):
    path = tmp_path / "a.dcm"
    end = data.index("Käthe-1".encode("latin-1")) + 7
    path.write_bytes(data[: end + 100])
    assert dicom.patient_id(path) == "Käthe-1"
    path.write_bytes(data[:300])
    assert dicom.patient_id(path) == ""
    assert dicom.patient_id(tmp_path / "nowhere") == ""
