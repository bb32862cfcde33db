"""A slice's neighbours are those of its series, and nothing stands in for what was not scanned."""

import numpy as np
import pytest

from fl_jax.data.adjacent import neighbours
from fl_jax.data.slices import Slices


def series(positions, thickness=np.nan, name="s", patient="p"):
    return [
        (patient, name, z, t)
        for z, t in zip(positions, np.broadcast_to(thickness, len(positions)), strict=True)
    ]


def slices(lines):
    patient, names, position, thickness = zip(*lines, strict=True)
    n = len(lines)
    return Slices(
        image=np.array([f"i{row:03d}" for row in range(n)]),
        patient=np.array(patient),
        study=np.array(names),
        series=np.array(names),
        site=np.full(n, "a"),
        position=np.array(position, np.float32),
        labels=np.zeros((n, 6), np.uint8),
        thickness=np.array(thickness, np.float32),
        image_shape=(4, 4),
        source=None,
    )


def around(lines):
    rows = neighbours(slices(lines))
    assert rows.dtype == np.int64
    assert rows[:, 1].tolist() == list(range(len(lines)))
    return rows[:, [0, 2]].tolist()


def test_below_and_above_by_position_whatever_the_order_and_ends_repeat():
    assert around(series([10, 0, 5])) == [[2, 0], [1, 2], [1, 0]]


def test_other_series_and_patients_are_not_neighbours():
    lines = [*series([0, 5]), *series([2, 7], name="t"), *series([1, 6], patient="q")]
    assert around(lines) == [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5]]


def test_one_slice_is_its_own_neighbour():
    assert around(series([3])) == [[0, 0]]


@pytest.mark.parametrize(("step", "near"), [(7.4, True), (7.6, False), (10, False)])
def test_a_gap_is_an_end(step, near):
    positions = [0, 5, 10, 10 + step, 15 + step, 20 + step]
    rows = around(series(positions))
    assert rows[2] == [1, 3 if near else 2]
    assert rows[3] == [2 if near else 3, 4]
    assert rows[4] == [3, 5]


def test_where_thin_slices_give_way_to_thick_ones_is_no_gap():
    positions, thickness = [0, 2, 4, 6, 8, 15, 22], [2, 2, 2, 2, 2, 7, 7]
    assert around(series(positions, thickness)) == [
        [max(i - 1, 0), min(i + 1, 6)] for i in range(7)
    ]
    assert around(series(positions))[5] == [5, 5]  # without thicknesses it looks like one


def test_slices_at_one_position_are_not_each_others_neighbours():
    assert around(series([0, 5, 5.001, 10])) == [[0, 1], [0, 3], [0, 3], [1, 3]]
    assert around(series([0, 5.001, 5, 10])) == [[0, 1], [0, 3], [0, 3], [1, 3]]  # by name
    assert around(series([5, 5])) == [[0, 0], [1, 1]]
