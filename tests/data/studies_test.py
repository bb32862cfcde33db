"""Every slice is in its study, in order along z, however long the study and whatever its files are called."""

import dataclasses
import itertools

import numpy as np
import pytest

from fl_jax.core.types import Study
from fl_jax.data import pipeline
from fl_jax.data.slices import Slices
from fl_jax.data.studies import LONGEST, OVERLAP, group_into_studies


def make(lengths, **changes):
    """Series of these lengths, their slices in no order; slice i of the order along z has i bright pixels."""
    rng = np.random.default_rng(0)
    n = sum(lengths)
    series = np.repeat([f"s{i}" for i in range(len(lengths))], lengths)
    place = np.concatenate([np.arange(length) for length in lengths])
    order = rng.permutation(n)
    place, series = place[order], series[order]
    fields = {
        "image": np.array([f"i{row:03d}" for row in rng.permutation(n)]),
        "patient": series,
        "study": series,
        "series": series,
        "site": np.full(n, "a"),
        "position": (5 * place + place**1.5 - 30).astype(np.float32),
        "labels": rng.integers(0, 2, (n, 6)).astype(np.int8),
        "thickness": np.full(n, 5, np.float32),
        "image_shape": (1, 1),
        "source": None,
        "pixels": place.astype(np.int16)[:, None, None],
    }
    return Slices(**fields | changes)


def test_slices_go_by_position_and_not_by_name():
    slices = make([7, 3, 5])
    studies = group_into_studies(slices)
    assert studies.windows.shape == (3, 7)
    assert studies.input_shape == (7, 1, 1)
    for series, window in zip(("s0", "s1", "s2"), studies.windows, strict=True):
        rows = window[window >= 0]
        assert set(slices.series[rows]) == {series}
        assert slices.pixels[rows, 0, 0].tolist() == list(range(len(rows)))
        assert (window[len(rows) :] == -1).all()
    level = dataclasses.replace(slices, position=np.zeros(15, np.float32))
    rows = group_into_studies(level).windows[1][:3]
    assert slices.image[rows].tolist() == sorted(slices.image[slices.series == "s1"])


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 112, 113, 300])
def test_a_long_study_is_windows_that_overlap_and_leave_nothing_out(length):
    studies = group_into_studies(make([length, 4]))
    windows = [row for row in studies.windows if studies.series[row[0]] == "s0"]
    assert len(windows) == {64: 1, 65: 2, 112: 2, 113: 3, 300: 6}[length]
    places = [studies.pixels[row, 0, 0] for row in windows]
    assert set(np.concatenate(places)) == set(range(length))
    for one, next_one in itertools.pairwise(places):
        assert one.tolist() == list(range(one[0], one[0] + LONGEST))
        assert one[-1] - next_one[0] + 1 >= OVERLAP


def test_each_slice_has_the_mean_logit_of_its_windows():
    studies = group_into_studies(make([80, 4]))
    rows = np.flatnonzero(studies.series == "s0")[::-1]
    examples = studies.examples(rows)
    assert len(examples) == 2
    assert set(studies.rows(examples)) == set(rows)
    answers = np.zeros((2, 65, 6)) + np.array([[[1.0]], [[3.0]]])
    logits = studies.slice_logits(answers, examples, rows)
    place = studies.pixels[rows, 0, 0]
    np.testing.assert_array_equal(logits[:, 0], np.where(place < 16, 1, np.where(place < 64, 2, 3)))
    assert studies.examples(rows[:1]).tolist() == [1]


def test_batches_are_studies_with_their_positions_and_labels():
    slices = make([3, 5])
    studies = group_into_studies(slices)
    (batch,) = pipeline.eval_batches(studies, np.array([1, 0]), batch_size=3)
    assert isinstance(batch.inputs, Study)
    assert batch.inputs.slices.shape == (3, 5, 1, 1)
    assert batch.inputs.slices.dtype == np.int16
    assert batch.mask.tolist() == [1, 1, 0]
    assert batch.inputs.mask.sum(1).tolist() == [5, 3, 3]
    assert batch.inputs.slices[1, :3, 0, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(
        np.diff(batch.inputs.position[1, :3]), [6, 5 + 2**1.5 - 1], rtol=1e-5
    )
    rows = studies.windows[0, :3]
    np.testing.assert_array_equal(batch.labels[1, 1:4], slices.labels[rows])
    np.testing.assert_array_equal(batch.labels[1, 0], slices.labels[rows].max(0))
    assert (batch.labels[1, 4:] == -1).all()


def test_neighbours_may_be_read_with_each_slice():
    slices = make([3, 2])
    around = np.stack([np.arange(5)] * 3, 1)
    around[:, 0] = 0
    studies = group_into_studies(dataclasses.replace(slices, adjacent=around))
    assert studies.input_shape == (3, 3, 1, 1)
    read = studies.input_rows(np.array([1]))
    assert read.shape == (1, 3, 3)
    assert (read[..., 0] == 0).all()
    assert (read[0, :2, 1] == studies.windows[1, :2]).all()


def test_taken_one_by_one_they_are_what_they_were():
    slices = make([3, 2])
    alone = group_into_studies(slices).single_slices()
    assert type(alone) is Slices
    assert all(
        getattr(alone, field.name) is getattr(slices, field.name)
        for field in dataclasses.fields(Slices)
    )


def test_bad_input():
    position = make([3]).position.copy()
    position[1] = np.nan
    slices = make([3], position=position)
    with pytest.raises(
        ValueError, match=f"1 of 3 slices have no position, such as image '{slices.image[1]}'"
    ):
        group_into_studies(slices)
    with pytest.raises(ValueError, match="longest=16: windows overlap by 16"):
        group_into_studies(make([3]), longest=16)
