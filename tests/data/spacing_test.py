"""Datasets of fixed mm a pixel: one head whatever the file's field of view; the index; what is refused."""

import numpy as np
import pytest
from make_dicom import dataset as make
from make_dicom import encode
from make_head import drawn

from fl_jax.data import dataset, intensity
from fl_jax.data.index import read_index
from fl_jax.data.slices import load

SIZE, MM = 64, 3.5
SCANS = {  # matrix, spacing, mm below and right of the centre, level
    "wide": ((320, 320), (0.8, 0.8), (14.0, -9.0), 38),
    "narrow": ((480, 480), (0.45, 0.45), (0.0, 0.0), 32),
    "oblong": ((250, 160), (1.0, 1.5), (-6.0, 12.0), 25),
}


def write(folder, name, pixels, spacing, number=0, **header):
    header = {
        "PatientID": f"P{name}",
        "StudyInstanceUID": f"1.2.{sum(name.encode())}",
        "SeriesInstanceUID": f"1.2.{sum(name.encode())}.1",
        "PixelSpacing": list(spacing),
        "ImagePositionPatient": [0, 0, 5 * number],
    } | header
    (folder / f"{name}_{number}.dcm").write_bytes(encode(make(pixels, **header)))


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    for name, (shape, spacing, at, level) in SCANS.items():
        for number, axes in enumerate([(90.0, 70.0), (88.0, 69.0), (35.0, 30.0)]):
            # The vertex lies elsewhere, and does not move its series.
            moved = (at[0] + 30.0 * (number == 2), at[1])
            hu = drawn(shape, at=moved, axes=axes, spacing=spacing, level=level)
            write(source, name, hu, spacing, number)
    write(source, "without", drawn(), (1.0, 1.0), PixelSpacing=None)
    return source


@pytest.fixture(name="built", scope="module")
def _built(source, tmp_path_factory):
    data, done = tmp_path_factory.mktemp("data"), []
    summary = dataset.prepare(
        source,
        layout="loose",
        data_dir=data,
        image_size=SIZE,
        spacing_mm=MM,
        max_refused=0.2,
        workers=0,
        progress=lambda *each: done.append(each),
    )
    return data, summary, done


def test_heads_have_one_size_and_place_whatever_the_field_of_view(built):
    slices = load(built[0])
    assert slices.spacing_mm == MM
    assert (slices.pixel_mm == MM).all()
    pixels = {
        str(name)[:-4]: hu for name, hu in zip(slices.image, slices.hu(np.arange(9)), strict=True)
    }
    for number in range(3):
        bone = [pixels[f"{name}_{number}"] > 300 for name in SCANS]
        for other in bone[1:]:
            assert (bone[0] & other).sum() / (bone[0] | other).sum() > 0.8
    rows, columns = np.nonzero(pixels["wide_0"] > 300)
    assert (rows.mean(), columns.mean()) == pytest.approx((31.5, 31.5), abs=0.3)
    assert (np.ptp(rows) + 1) * MM == pytest.approx(180, abs=6)
    rows, _ = np.nonzero(pixels["wide_2"] > 300)
    assert rows.mean() == pytest.approx(31.5 + 30 / MM, abs=0.5)


def test_the_index_says_where_each_slice_is_centred(built):
    columns = read_index(built[0] / "slices" / "index.csv")
    for name, row, column in zip(
        columns["image"], columns["centre_row"], columns["centre_column"], strict=True
    ):
        at = SCANS[name.split("_")[0]][2]
        assert (float(row), float(column)) == pytest.approx(at, abs=1.5)


def test_a_file_without_spacing_is_refused_and_counted(built):
    data, summary, done = built
    assert summary["sites"]["loose"]["refused"] == {"missing pixel spacing": 1}
    assert "without_0.dcm,missing pixel spacing" in (data / "refused.csv").read_text()
    assert done == [(n, 20) for n in range(1, 21)]  # two passes over ten files


def test_the_level_of_each_study_is_measured(built):
    slices = load(built[0])
    assert sorted(intensity.levels(slices).level) == pytest.approx([25, 32, 38], abs=1)
    levelled = intensity.levelled(slices)
    middle = levelled.hu(np.arange(9))[slices.head["brain_area"] > 50][:, 28:36, 28:36]
    np.testing.assert_allclose(np.median(middle, axis=(1, 2)), 32, atol=1.5)


def test_another_spacing_rebuilds_the_dataset(source, tmp_path):
    said = []
    common = {"layout": "loose", "data_dir": tmp_path, "image_size": 64, "workers": 0}
    first = dataset.prepare(source, **common)
    assert first["sites"]["loose"]["refused"] == {}  # a spacing is not needed
    dataset.prepare(source, **common, spacing_mm=4.0, max_refused=0.2, say=said.append)
    assert said == [f"{tmp_path}: spacing_mm was 0.0, is 4.0: built anew"]


def test_a_series_without_a_skull_is_centred_on_the_picture_and_said(tmp_path):
    source, said = tmp_path / "source", []
    source.mkdir()
    hu = drawn()
    hu[hu > 300] = 40
    write(source, "soft", hu, (1.0, 1.0))
    write(source, "head", drawn(), (1.0, 1.0))
    common = {"layout": "loose", "data_dir": tmp_path / "data", "workers": 0}
    dataset.prepare(source, **common, image_size=64, spacing_mm=4.0, say=said.append)
    assert said == ["1 of 2 series show too little skull: centred on the picture, not the head"]


def test_one_picture_under_two_patients_links_them_wherever_their_series_are_centred(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    same = drawn(at=(10.0, 0.0))
    write(source, "one", same, (1.0, 1.0))
    write(source, "three", same, (1.0, 1.0))
    for number in (1, 2):
        write(source, "three", drawn(at=(-20.0, 0.0)) + np.int16(number), (1.0, 1.0), number)
    options = {"layout": "loose", "data_dir": tmp_path / "data", "image_size": 64, "workers": 0}
    summary = dataset.prepare(source, **options, spacing_mm=4.0)
    assert summary["sites"]["loose"]["linked_patients"] == 2


@pytest.mark.parametrize(("size", "mm"), [(64, 1.0), (512, 5.0), (64, -1.0)])
def test_a_field_of_view_that_no_head_fits_is_refused(tmp_path, size, mm):
    with pytest.raises(ValueError, match=f"spacing_mm={mm:g} with image_size={size}"):
        dataset.prepare(tmp_path, data_dir=tmp_path / "d", image_size=size, spacing_mm=mm)
