"""The head in a slice: drawn ones by hand arithmetic, and a real one where it is at hand."""

import math

import cv2
import numpy as np
import pytest
from make_head import drawn
from real_ct import REAL, needs_real

from fl_jax.data import dicom, head
from fl_jax.data.index import HEAD

MM = 1.0
SQUARE = (MM, MM)


def test_the_index_has_all_of_it():
    assert head.Head._fields == HEAD


def test_areas_centre_and_level_of_an_ellipse():
    got = head.measure(drawn(at=(11.0, -7.0)), SQUARE)
    assert got.skull_area == pytest.approx(math.pi * 95 * 75 / 100, rel=0.05)
    assert (got.skull_row, got.skull_column) == pytest.approx((11.0, -7.0), abs=0.5)
    assert got.brain_area == pytest.approx(math.pi * (95 - 13) * (75 - 13) / 100, rel=0.1)
    assert got.brain_hu == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((512, 512), (0.5, 0.5)), ((250, 120), (1.0, 2.0)), ((64, 64), (4.0, 4.0))],
)
def test_the_grid_does_not_matter(shape, spacing):
    got = head.measure(drawn(shape, at=(5.0, 8.0), spacing=spacing), spacing)
    assert (got.skull_row, got.skull_column) == pytest.approx((5.0, 8.0), abs=1.0)
    assert got.brain_hu == pytest.approx(30, abs=0.5)
    assert got.skull_area == pytest.approx(math.pi * 95 * 75 / 100, rel=0.1)


def test_a_missing_spacing_is_guessed():
    got = head.measure(drawn(), (math.nan, math.nan))  # 256 mm count as 240
    assert got.brain_hu == pytest.approx(30, abs=0.5)
    assert got.skull_area == pytest.approx(math.pi * 95 * 75 / 100 * (240 / 256) ** 2, rel=0.05)


@pytest.mark.parametrize("level", [12, 25, 40, 48])
def test_bleeds_csf_and_calcification_do_not_shift_the_level(level):
    hu = drawn(level=level)
    cv2.ellipse(hu, (128, 170), (30, 45), 0, 0, 360, 68, -1)  # 42 cm2, more than most bleeds
    cv2.ellipse(hu, (128, 100), (12, 40), 0, 0, 360, 4, -1)  # ventricles
    cv2.circle(hu, (150, 90), 6, 150, -1)
    hu += np.random.default_rng(1).normal(0, 3, hu.shape).round().astype(np.int16)
    assert head.measure(hu, SQUARE).brain_hu == pytest.approx(level, abs=1.5)


def test_a_craniectomy_a_cropped_and_a_turned_head_have_a_level():
    hu = drawn()
    open_head = hu.copy()
    open_head[60:130, :80][open_head[60:130, :80] > 300] = 30
    turned = cv2.warpAffine(
        hu, cv2.getRotationMatrix2D((127.5, 127.5), 25, 1), None, borderValue=-1000
    )
    cropped = hu[:, 70:]
    for picture in (open_head, turned, cropped):
        got = head.measure(np.ascontiguousarray(picture), SQUARE)
        assert got.brain_hu == pytest.approx(30, abs=1)
        assert got.brain_area > head.ENOUGH
    assert head.measure(open_head, SQUARE)[3:] == pytest.approx((0, 0), abs=3)


def test_a_table_lines_and_a_head_rest_are_no_head():
    hu = drawn()
    hu[236:240, 10:250], hu[:, 5:7] = 700, 2000
    hu[225:233, 60:200] = 120
    got = head.measure(hu, SQUARE)
    assert (got.skull_row, got.skull_column) == pytest.approx((0, 0), abs=0.5)
    assert got.brain_hu == pytest.approx(30, abs=0.5)


def test_without_a_brain_there_is_no_level():
    air = np.full((256, 256), -1000, np.int16)
    assert all(map(math.isnan, head.measure(air, SQUARE)))
    vertex = head.measure(drawn(axes=(40.0, 35.0)), SQUARE)
    assert math.isnan(vertex.brain_hu)
    assert vertex.skull_area == pytest.approx(math.pi * 40 * 35 / 100, rel=0.1)
    sinus = head.measure(drawn(level=-80), SQUARE)
    assert math.isnan(sinus.brain_hu)
    assert all(map(math.isnan, head.measure(drawn((40, 40), spacing=(6.4, 6.4)), (6.4, 6.4))))


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 1), (7, 7)])
def test_a_picture_of_any_shape_is_measured(shape):
    hu = np.random.default_rng(0).integers(-1024, 3072, shape).astype(np.int16)
    for spacing in (SQUARE, (math.nan, math.nan), (1e-9, 1e-9), (100.0, 30.0)):
        assert len(head.measure(hu, spacing)) == 5


@needs_real
def test_on_a_real_head():
    files = [str(path) for path in sorted((REAL / "ct_head_ge").iterdir())]
    reads = [read for read in dicom.read_all(files, size=128, workers=0) if hasattr(read, "hu")]
    heads = np.array([read.head for read in sorted(reads, key=lambda read: read.position)])
    area, level, skull, _, column = heads.T
    has = np.isfinite(level)
    assert 12 <= has.sum() <= 18  # of 28: neither face and base nor vertex
    assert (area[has] >= head.ENOUGH).all()
    assert np.median(level) != np.median(level[has])  # NaN elsewhere
    assert abs(np.median(level[has]) - 30) < 2
    assert np.ptp(level[has]) < 10
    assert (abs(column[has] + 2.5) < 1.5).all()
    assert 180 < skull.max() < 240  # 16 x 19 cm less the scalp


def test_muscle_that_the_skull_does_not_enclose_is_no_brain():
    """A neck or an open face: tissue of 55 HU with a spine of bone behind it."""
    hu = drawn(level=55)
    hu[hu > 300] = 55
    hu[180:200, 115:140] = 900
    got = head.measure(hu, SQUARE)
    assert math.isnan(got.brain_hu)
