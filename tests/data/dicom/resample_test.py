"""Fixed mm a pixel: areas and places by hand arithmetic; centres of series; refusals."""

import math

import numpy as np
import pytest

from fl_jax.core.types import AIR
from fl_jax.data.dicom.refusal import Reason, RefusedError
from fl_jax.data.dicom.resample import MIDDLE, Centre, Centres, check_spacing, resample

NONE = (math.nan,) * 3


def test_areas_are_averaged_by_hand():
    hu = np.arange(16, dtype=np.int16).reshape(4, 4) * 10
    got = resample(hu, 2, (0.5, 0.5), 1.0)
    np.testing.assert_array_equal(got, [[25, 45], [105, 125]])


def test_the_window_is_centred_where_it_shall_be_and_filled_with_air():
    hu = np.arange(16, dtype=np.int16).reshape(4, 4) * 10
    got = resample(hu, 4, (1.0, 1.0), 1.0, Centre(1.0, -2.0))
    np.testing.assert_array_equal(got[:3, 2:], hu[1:, :2])
    assert (got[3] == AIR).all()
    assert (got[:, :2] == AIR).all()
    assert (resample(hu, 4, (1.0, 1.0), 1.0, Centre(90.0, -300.0)) == AIR).all()


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((512, 512), (0.45, 0.45)), ((250, 400), (1.0, 0.5)), ((300, 200), (0.7, 1.3))],
)
@pytest.mark.parametrize("mm", [1.8, 1.0, 0.4])
def test_an_ellipse_has_its_size_and_place_in_mm(shape, spacing, mm):
    """80 x 60 mm about a point 12 mm below and 9 mm left of the picture's centre."""
    y = (np.arange(shape[0])[:, None] - (shape[0] - 1) / 2) * spacing[0] - 12
    x = (np.arange(shape[1])[None] - (shape[1] - 1) / 2) * spacing[1] + 9
    hu = np.where((y / 40) ** 2 + (x / 30) ** 2 <= 1, 0, AIR).astype(np.int16)
    size = round(128 / mm)
    got = resample(hu, size, spacing, mm, Centre(12.0, -9.0))
    assert got.shape == (size, size)
    assert got.dtype == np.int16
    share = (got - AIR) / -AIR
    rows, columns = share.sum(1), share.sum(0)
    assert share.sum() * mm**2 == pytest.approx(math.pi * 40 * 30, rel=0.01)
    at = np.arange(size) - (size - 1) / 2
    off = [(each * at).sum() / share.sum() * mm for each in (rows, columns)]
    assert off == pytest.approx([0, 0], abs=max(spacing) / 2 + 0.1)
    sd = [(each * (at * mm) ** 2).sum() / share.sum() for each in (rows, columns)]
    assert sd == pytest.approx([400, 225], rel=0.03)  # semi-axis squared / 4


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([[0, 1000]], np.int16), (256, 128))
    got = resample(stripes, 50, (0.9, 0.9), 3.3)
    inner = got[5:-5, 5:-5]
    assert inner.shape == (40, 40)
    assert 350 < inner.min() <= inner.max() < 650  # a picked pixel would be 0 or 1000


@pytest.mark.parametrize("spacing", [(math.nan, math.nan), (0.0, 0.5), (0.5, -1.0)])
def test_without_a_spacing_it_is_refused_by_name(spacing):
    with pytest.raises(RefusedError) as error:
        check_spacing((512, 512), spacing)
    assert error.value.reason is Reason.MISSING_SPACING


@pytest.mark.parametrize("spacing", [(0.1, 0.1), (4.0, 4.0), (0.49, 2.5)])
def test_a_spacing_that_no_head_has_is_refused(spacing):
    with pytest.raises(RefusedError) as error:
        check_spacing((512, 512), spacing)
    assert error.value.reason is Reason.BAD_GEOMETRY
    check_spacing((512, 512), (0.49, 0.49))


def test_a_series_has_the_median_of_its_large_skulls():
    found = Centres()
    heads = [(200.0, 1.0, -4.0), (210.0, 3.0, -5.0), (190.0, 2.0, -6.0), (90.0, 40.0, 30.0)]
    for head in (*heads, NONE):
        found.add(("a",), head)
    found.add(None, NONE)
    found.add(("b",), (81.0, 7.0, 8.0))
    found.add(("c",), NONE)
    found.add(("d",), (60.0, 7.0, 8.0))
    centres, groups, without = found.all()
    assert centres == [Centre(2.0, -5.0)] * 5 + [MIDDLE, Centre(7.0, 8.0), MIDDLE, MIDDLE]
    assert (groups, without) == (4, 2)
