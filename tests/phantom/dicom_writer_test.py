"""Every header dialect reads back to the scanned HU, by plain pydicom and by the library's reader."""

import errno

import numpy as np
import pydicom
import pytest
from fuzzing import no_file_above
from pydicom.uid import CTImageStorage
from sphere import draw_sphere
from turn_dicom import TURNS, turned

from fl_jax.data.dicom import Repair, Slice, read
from fl_jax.phantom.dicom_writer import Dialect, Person, encode, synthetic_uid, write_series
from fl_jax.phantom.scanner.geometry import Pose, plan_slices
from fl_jax.phantom.scanner.scan import scan
from fl_jax.phantom.sites import SITES

UNITS = [unit for site in SITES for unit in site.units]
PERSON = Person("SYN_0123abcd", 71, "F", "20190314", "235959")
GEOMETRY = plan_slices(
    pose=Pose(3.0, 4.0, 0.0, (0.0, 0.0)),
    tilt=10.0,
    field_of_view=230.0,
    matrix=96,
    thickness=2.5,
    increment=4.0,
    bottom=-10.0,
    top=10.0,
)


@pytest.fixture(scope="module")
def series():
    drawing = draw_sphere((), GEOMETRY.grid)
    return scan(drawing, GEOMETRY, UNITS[0].scanner, np.random.default_rng(0), motion=False)


@pytest.fixture
def written(series, tmp_path, request):
    unit = request.param
    names = [f"ID_{k:012x}" for k in range(len(series.hu))]
    size = write_series(tmp_path, names, series, GEOMETRY, unit.scanner, unit.dialect, PERSON)
    paths = [tmp_path / f"{name}.dcm" for name in names]
    assert size == sum(path.stat().st_size for path in paths)
    return unit, paths


each_dialect = pytest.mark.parametrize(
    "written", UNITS, ids=lambda unit: unit.dialect.name.replace(" ", "_"), indirect=True
)


def repaired(ds):
    """HU by the rule of the study's published code and the public kernels for the RSNA challenge."""
    x, intercept = ds.pixel_array.astype(np.int64), float(ds.RescaleIntercept)
    if ds.BitsStored == 12 and ds.PixelRepresentation == 0 and intercept > -100:
        x += 1000
        x[x >= 4096] -= 4096
        intercept = -1000
    return x * float(ds.RescaleSlope) + intercept


@each_dialect
def test_reads_back_to_the_scanned_hu(written, series):
    unit, paths = written
    low = -1000 if unit.dialect.wrapped else -1024
    for path, hu in zip(paths, series.hu, strict=True):
        expected = np.maximum(hu, low)
        inside = series.circle
        np.testing.assert_array_equal(repaired(pydicom.dcmread(path))[inside], expected[inside])
        mine = read(path, size=None)
        assert isinstance(mine, Slice)
        np.testing.assert_array_equal(mine.hu[inside], expected[inside])
        assert (mine.hu[~inside] <= -1000).all()


@each_dialect
def test_header_says_where_the_slice_lies(written):
    unit, paths = written
    headers = [pydicom.dcmread(path) for path in paths]
    positions = np.array([ds.ImagePositionPatient for ds in headers], float)
    assert positions == pytest.approx(GEOMETRY.positions, abs=1e-4)
    for number, ds in enumerate(headers, start=1):
        orientation = np.array(ds.ImageOrientationPatient, float)
        tilt = np.rad2deg(np.arcsin(-orientation[5]))
        assert tilt == pytest.approx(float(ds.GantryDetectorTilt), abs=0.01)
        assert ds.InstanceNumber == number
        assert [float(v) for v in ds.PixelSpacing] == pytest.approx([230 / 96] * 2)
        assert ("SliceThickness" in ds) == unit.dialect.thickness
    readings = [read(path, size=None) for path in paths]
    heights = [r.position for r in readings if isinstance(r, Slice)]
    assert np.diff(heights) == pytest.approx(4 * np.cos(np.deg2rad(10)), abs=1e-3)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("written", UNITS[:1], indirect=True)
def test_turned_scans_read_alike(written, turn, tmp_path):
    _, paths = written
    plain = [read(path, size=64) for path in paths]
    for path in paths:
        turned(pydicom.dcmread(path), *turn).save_as(path)
    again = [read(path, size=64) for path in paths]
    for mine, theirs in zip(again, plain, strict=True):
        assert isinstance(mine, Slice)
        assert isinstance(theirs, Slice)
        assert mine.hu.tobytes() == theirs.hu.tobytes()
        assert mine.position == pytest.approx(theirs.position, abs=1e-3)
        assert (Repair.TURNED in mine.repairs) == any(turn)


@each_dialect
def test_header_is_valid_and_says_that_it_is_synthetic(written):
    unit, paths = written
    ds = pydicom.dcmread(paths[0])
    assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == CTImageStorage
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    for uid in (ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID):
        assert uid.is_valid
    assert ds.file_meta.TransferSyntaxUID.is_implicit_VR != unit.dialect.explicit
    for element in (ds.PatientName, ds.Manufacturer, ds.ManufacturerModelName, ds.InstitutionName):
        assert str(element).startswith("SYNTHETIC")
    assert str(ds.ReferringPhysicianName).startswith("SYNTHETIC")
    assert ds.PatientIdentityRemoved == "YES"
    assert ds.PatientBirthDate == ""
    assert ds.PatientAge == "071Y"
    assert str(ds["RescaleIntercept"].value.original_string) == unit.dialect.intercept
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in paths}) == len(paths)


def test_the_dialects_that_the_study_meets_are_all_there():
    dialects = [unit.dialect for unit in UNITS]
    assert {d.padding for d in dialects} == {None, -1500, -2000}
    assert any(d.wrapped for d in dialects)
    assert any(d.intercept == "-1024.000000" for d in dialects)
    assert any(isinstance(d.window[0], list) for d in dialects)
    assert {d.explicit for d in dialects} == {True, False}
    assert not all(d.thickness for d in dialects)
    assert any(not d.signed and not d.wrapped for d in dialects)


def test_wraparound_by_hand():
    wrapped = Dialect("w", signed=False, intercept="0", wrapped=True)
    hu = np.array([[[-1024, -1000, -1], [0, 40, 3095]]], np.int16)
    stored = encode(hu, np.ones((2, 3), bool), wrapped)
    np.testing.assert_array_equal(stored, [[[3096, 3096, 4095], [0, 40, 3095]]])


def test_padding_lies_outside_the_circle_only():
    dialect = Dialect("p", signed=True, intercept="-1024.000000", padding=-2000)
    circle = np.array([[True, False]])
    stored = encode(np.array([[[10, -1000]]], np.int16), circle, dialect)
    np.testing.assert_array_equal(stored, [[[1034, -2000]]])


def test_one_name_a_slice(series, tmp_path):
    unit = UNITS[0]
    with pytest.raises(ValueError, match="names has 1 entries"):
        write_series(tmp_path, ["ID_1"], series, GEOMETRY, unit.scanner, unit.dialect, PERSON)


def test_a_full_disk_is_one_line_that_names_the_file(series, tmp_path):
    unit = UNITS[0]
    names = [f"ID_{k}" for k in range(len(series.hu))]
    with no_file_above(8192), pytest.raises(OSError, match="too large") as raised:
        write_series(tmp_path, names, series, GEOMETRY, unit.scanner, unit.dialect, PERSON)
    assert (
        raised.value.errno == errno.EFBIG
    )  # pydicom would have replaced it by its traceback's text
    assert raised.value.filename == str(tmp_path / "ID_0.dcm")


def test_uids_depend_on_every_part():
    assert synthetic_uid("study", "a") == synthetic_uid("study", "a")
    assert (
        len(
            {synthetic_uid("study", "a"), synthetic_uid("series", "a"), synthetic_uid("study", "b")}
        )
        == 3
    )
