"""Studies' levels by hand arithmetic; the shift on disk, in memory and in batches."""

import dataclasses

import numpy as np
import pytest

from fl_jax.data import intensity, pipeline
from fl_jax.data.adjacent import neighbours
from fl_jax.data.studies import group_into_studies


@pytest.fixture(name="levelled")
def _levelled(slices):
    """Studies at 27, 60 (contrast) and without brain; the rest at 32 HU."""
    names = np.unique(slices.study)
    hu = np.full(len(slices), 32.0, np.float32)
    for study, level in zip(names[:3], (27.0, 60.0, np.nan), strict=True):
        hu[slices.study == study] = level
    area = np.full(len(slices), 100.0, np.float32)
    return dataclasses.replace(slices, head={"brain_hu": hu, "brain_area": area}), names


def test_a_study_has_the_weighted_median_of_its_slices(slices):
    one = dataclasses.replace(slices, study=np.full(len(slices), "1"))
    hu, area = np.full(len(slices), np.nan), np.full(len(slices), np.nan)
    hu[:4], area[:4] = (24, 30, 31, 40), (50, 60, 90, 30)
    head = {"brain_hu": hu.astype(np.float32), "brain_area": area.astype(np.float32)}
    found = intensity.levels(dataclasses.replace(one, head=head))
    # 50 + 60 = 110 of 230 lie below 31, which carries the half of 115.
    assert found.level.tolist() == [31]
    assert found.shift.tolist() == [1]
    assert found.offset.tolist() == [1] * len(slices)


def test_what_is_shifted_and_what_is_left(levelled):
    slices, names = levelled
    found = intensity.levels(slices)
    assert found.shift[:3].tolist() == [5, 0, 0]
    assert not found.shift[3:].any()
    assert set(found.offset[slices.study == names[0]].tolist()) == {5}
    said = found.describe()
    assert f"{len(names) - 2} studies brought to 32 HU" in said
    assert "1 with too little brain left as they are" in said
    assert "1 more than 20 HU away left as they are" in said


def test_without_measurements_nothing_is_shifted_and_it_is_said(slices):
    found = intensity.levels(slices)
    assert not found.offset.any()
    number = len(np.unique(slices.study))
    assert found.describe() == f"intensity: {number} with too little brain left as they are"


class _Records:
    def __init__(self, pixels):
        self.pixels = pixels

    def __getitems__(self, rows):
        return [{"hu": self.pixels[row]} for row in rows]


def test_the_shift_is_the_same_on_disk_in_memory_and_in_batches(levelled):
    inside, _ = levelled
    on_disk = dataclasses.replace(inside, pixels=None, source=_Records(inside.pixels))
    want = inside.pixels + intensity.levels(inside).offset[:, None, None]
    rows = np.arange(len(inside))
    shifted = intensity.levelled(on_disk)
    opened = [shifted, shifted.in_memory(), intensity.levelled(inside)]
    opened.append(group_into_studies(shifted).single_slices())
    for slices in opened:
        assert slices.hu(rows).dtype == np.int16
        np.testing.assert_array_equal(slices.hu(rows), want)
        batches = pipeline.eval_batches(slices, rows, batch_size=7)
        got = np.concatenate([batch.inputs[batch.mask > 0] for batch in batches])
        np.testing.assert_array_equal(got, want)
    around = neighbours(shifted)
    three = dataclasses.replace(shifted, adjacent=around)
    batch = next(pipeline.eval_batches(three, rows[:5], batch_size=5))
    np.testing.assert_array_equal(batch.inputs, want[around[:5]])
