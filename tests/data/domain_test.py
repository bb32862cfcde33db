"""The numbers of a drawn head are those it was drawn with."""

import dataclasses
import math

import make_site
import numpy as np
import pytest
from domain_heads import PIXEL, head, scans

from fl_jax.data import domain
from fl_jax.data.dataset import prepare
from fl_jax.data.slices import load


def measure(slices, **extent):
    n = len(slices)
    known = {"spacing": np.full(n, 0.42), "field": np.full(n, 216.0), "pixel": np.full(n, PIXEL)}
    found = domain.measure(slices, domain.Extent(**known | extent), domain.studies(slices))
    return [*found]


def test_the_numbers_are_those_of_the_drawing():
    one, other = measure(scans(head(), head(brain=27, noise=6, width=135, length=170, slices=9)))
    assert one.brain == 33
    assert other.brain == 27
    assert one.noise == pytest.approx(3, rel=0.05)
    assert other.noise == pytest.approx(6, rel=0.05)
    assert one.width == pytest.approx(120, abs=3)
    assert other.length == pytest.approx(170, abs=3)
    assert (one.spacing, one.field, one.thickness, one.slices) == (0.42, 216, 5, 6)
    assert other.slices == 9


def test_a_turned_head_has_the_same_size():
    turned = head()[:, ::-1].transpose(0, 2, 1)
    (one,) = measure(scans(turned))
    assert one.width == pytest.approx(120, abs=3)
    assert one.length == pytest.approx(156, abs=3)


def test_without_brain_or_spacing_the_numbers_are_unknown():
    (air,) = measure(scans(np.full((3, 144, 144), -1000, np.int16)))
    assert [name for name, value in air._asdict().items() if math.isnan(value)] == [
        *("brain", "noise", "width", "length")
    ]
    nothing = np.full(6, np.nan)
    (lost,) = measure(scans(head()), spacing=nothing, field=nothing, pixel=nothing)
    assert lost.brain == 33
    assert [name for name, value in lost._asdict().items() if math.isnan(value)] == [
        *("spacing", "field", "width", "length")
    ]


def test_rows_are_grouped_by_study_and_ordered_by_position():
    slices = scans(head(slices=3), head(slices=2))
    assert [rows.tolist() for rows in domain.studies(slices)] == [[2, 1, 0], [4, 3]]
    wanted = np.array([True, False, True, False, False])
    assert [rows.tolist() for rows in domain.studies(slices, wanted)] == [[2, 0]]
    second = dataclasses.replace(slices, study=np.array(["s", "s", "t", "s", "s"]))
    assert [rows.tolist() for rows in domain.studies(second)] == [[1, 0], [2], [4, 3]]


def test_the_geometry_is_that_of_the_files(tmp_path):
    make_site.write_site(tmp_path / "source", "a", patients=1)
    prepare(tmp_path / "source", data_dir=tmp_path / "data", image_size=12, workers=0)
    extent = domain.read_extent(tmp_path / "data", load(tmp_path / "data"))
    assert extent.spacing.tolist() == [1.0] * 3  # of 12 x 12 pixels, not of the file's 24 x 24
    assert extent.field.tolist() == [12.0] * 3
    assert extent.pixel.tolist() == [1.0] * 3
