"""Amounts of tissue, counted in drawn slices."""

import dataclasses

import numpy as np
import pytest

from fl_jax.evaluation import tissue


def _drawn(tiny, mm):
    hu = np.full((len(tiny), 8, 8), -1000, np.int16)
    hu[:, 1:7, 1:7] = 800
    hu[:, 2:6, 2:6] = 30  # 16 pixels of brain
    hu[:, 0, 0], hu[:, 0, 1] = 45, 46  # soft tissue outside the skull counts, up to its limit
    hu[::2, 2, 2:5] = 90, 50, 91
    hu[::2, 0, 7] = 70  # bright outside the skull
    return dataclasses.replace(tiny, pixels=hu, pixel_mm=mm)


def test_areas_are_in_square_centimetres(slices, monkeypatch):
    monkeypatch.setattr(tissue, "BLOCK", 3)
    mm = np.linspace(1, 2, len(slices))
    rows = np.array([4, 1, 0, 3])
    result = tissue.measure(_drawn(slices, mm), rows)
    assert result.image.tolist() == slices.image[rows].tolist()
    assert result.soft == pytest.approx(np.array([14, 17, 14, 17]) * mm[rows] ** 2 / 100)
    assert result.bright == pytest.approx(np.array([2, 0, 2, 0]) * mm[rows] ** 2 / 100)
    assert result.unit == tissue.CM2


@pytest.mark.parametrize("known", [True, False])
def test_if_one_pixel_has_no_size_all_are_in_percent(slices, known):
    mm = np.where(np.arange(len(slices)) == 1, np.nan, 1.0) if known else None
    result = tissue.measure(_drawn(slices, mm), np.arange(3))
    assert result.soft == pytest.approx(np.array([14, 17, 14]) / 64 * 100)
    assert result.unit == tissue.PERCENT
    assert tissue.measure(_drawn(slices, mm), np.array([], int)).soft.size == 0
