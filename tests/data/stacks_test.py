"""Slices of a series are in order towards the head; those at one place are in order of their names."""

import dataclasses

import numpy as np
from adjacent_test import series, slices

from fl_jax.data.stacks import stacks


def test_each_series_is_in_order():
    lines = [*series([5, 0, 10]), *series([1, -1], name="t"), *series([3], patient="q")]
    found = [(rows.tolist(), level.tolist()) for rows, level in stacks(slices(lines))]
    assert [rows for rows, _ in found] == [[1, 0, 2], [4, 3], [5]]
    assert [np.unique(level).size for _, level in found] == [3, 2, 1]


def test_slices_at_one_place_are_in_order_of_their_names():
    several = slices(series([5.004, 5.012, 5.0, 5.03, 0]))
    ((rows, level),) = stacks(several)
    assert rows.tolist() == [4, 0, 1, 2, 3]
    assert (level - level[0]).tolist() == [0, 1, 1, 1, 2]


def test_a_series_identifier_of_two_studies_makes_two():
    several = dataclasses.replace(slices(series([0, 1])), study=np.array(["a", "b"]))
    assert [rows.tolist() for rows, _ in stacks(several)] == [[0], [1]]


def test_no_slices():
    names = ("image", "patient", "study", "series")
    none = dataclasses.replace(slices(series([0])), **dict.fromkeys(names, np.array([], str)))
    assert list(stacks(none)) == []
