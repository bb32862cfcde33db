"""Batches are what `example_order` says, from disk as from memory; nothing is dropped or invented."""

import dataclasses
import os
import subprocess
import sys
from typing import Any

import make_site
import numpy as np
import pytest

from fl_jax.data import pipeline
from fl_jax.data.adjacent import neighbours
from fl_jax.data.dataset import prepare
from fl_jax.data.order import balanced_order, example_order
from fl_jax.data.slices import load


@pytest.fixture(name="on_disk", scope="module")
def _on_disk(tmp_path_factory):
    source = make_site.write_cohort(tmp_path_factory.mktemp("cohort"), {"a": 5, "b": 3})
    data_dir = tmp_path_factory.mktemp("data")
    prepare(source, data_dir=data_dir, image_size=12, workers=0)
    return load(data_dir)


@pytest.fixture(name="slices", params=["disk", "memory"])
def _slices(request, on_disk):
    return on_disk if request.param == "disk" else on_disk.in_memory()


ROWS = np.array([3, 4, 5, 9, 10, 14, 20])


def start(slices, **changes):
    given: dict[str, Any] = {
        "batch_size": 4,
        "examples": 18,
        "seed": 1,
        "round_index": 2,
        "site": "a",
    }
    return pipeline.train_batches(slices, ROWS, **(given | changes))


def train(slices, **changes):
    return list(start(slices, **changes))


# --- training batches


def test_batches_are_the_order(slices):
    batches = train(slices)
    rows = ROWS[example_order(7, 18, 1, 2, "a")]
    assert len(batches) == 5
    assert [batch.mask.tolist() for batch in batches] == [[1] * 4] * 4 + [[1, 1, 0, 0]]
    inputs = np.concatenate([batch.inputs for batch in batches])[:18]
    labels = np.concatenate([batch.labels for batch in batches])[:18]
    np.testing.assert_array_equal(inputs, slices.hu(rows))
    np.testing.assert_array_equal(labels, slices.labels[rows])


def test_shapes_and_types(slices):
    for batch in train(slices):
        assert all(isinstance(leaf, np.ndarray) for leaf in batch)
        assert [leaf.dtype for leaf in batch] == [np.int16, np.float32, np.float32]
        assert [leaf.shape for leaf in batch] == [(4, 12, 12), (4, 6), (4,)]
        assert np.isfinite(batch.labels).all()


def same(left, right):
    return all(
        np.array_equal(a, b)
        for one, other in zip(left, right, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_a_pure_function_of_its_arguments(slices):
    assert same(train(slices), train(slices))
    first, second = train(slices, round_index=3), train(slices)
    assert same(train(slices, round_index=3), first)  # whatever was asked for in between
    assert not same(first, second)
    assert not same(train(slices, seed=2), second)
    assert not same(train(slices, site="b"), second)


def test_disk_and_memory_agree(on_disk):
    assert same(train(on_disk), train(on_disk.in_memory()))


def test_two_iterators_at_once_do_not_disturb_each_other(slices):
    pairs = list(zip(start(slices), start(slices), strict=True))
    assert same([a for a, _ in pairs], [b for _, b in pairs])


def test_an_iterator_may_be_left_half_way(slices):
    iterator = start(slices, examples=40)
    next(iterator)
    del iterator
    assert len(train(slices)) == 5


def test_arguments_are_checked_when_given_not_when_iterated(slices):
    with pytest.raises(ValueError, match="batch_size is 0"):
        pipeline.eval_batches(slices, ROWS, batch_size=0)
    with pytest.raises(ValueError, match="site 'a' has no examples"):
        pipeline.train_batches(
            slices, ROWS[:0], batch_size=2, examples=4, seed=0, round_index=0, site="a"
        )


def test_no_examples_are_no_batches(slices):
    assert train(slices, examples=0) == []


# --- adjacent slices


def with_neighbours(slices):
    return dataclasses.replace(slices, adjacent=neighbours(slices))


def test_inputs_are_three_slices_from_disk_as_from_memory(on_disk):
    batches = train(with_neighbours(on_disk))
    assert same(batches, train(with_neighbours(on_disk.in_memory())))
    assert {batch.inputs.shape for batch in batches} == {(4, 3, 12, 12)}
    middle = [batch._replace(inputs=batch.inputs[:, 1]) for batch in batches]
    assert same(middle, train(on_disk))


def test_evaluation_of_three_slices(slices):
    (batch,) = pipeline.eval_batches(with_neighbours(slices), ROWS[:2], batch_size=3)
    assert batch.mask.tolist() == [1, 1, 0]
    rows = neighbours(slices)[ROWS[:2]]
    for side in range(3):
        np.testing.assert_array_equal(batch.inputs[:2, side], slices.hu(rows[:, side]))


def test_balanced_batches_are_of_the_balanced_order(on_disk):
    loaded = on_disk.in_memory()
    drawn = np.concatenate([batch.labels for batch in train(loaded, balanced=True)])[:18]
    wanted = loaded.labels[ROWS][balanced_order(loaded.labels[ROWS], 18, 1, 2, "a")]
    np.testing.assert_array_equal(drawn, wanted)


# --- evaluation batches


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_evaluation_sees_each_row_once_in_order(slices, size):
    batches = list(pipeline.eval_batches(slices, ROWS, batch_size=size))
    assert all(batch.inputs.shape == (size, 12, 12) for batch in batches)
    mask = np.concatenate([batch.mask for batch in batches]) > 0
    assert mask.sum() == 7
    np.testing.assert_array_equal(
        np.concatenate([batch.inputs for batch in batches])[mask], slices.hu(ROWS)
    )
    np.testing.assert_array_equal(
        np.concatenate([batch.labels for batch in batches])[mask], slices.labels[ROWS]
    )


def test_evaluation_of_nothing(slices):
    assert list(pipeline.eval_batches(slices, ROWS[:0], batch_size=4)) == []


# --- manners


def test_records_that_are_cut_off_meanwhile_are_an_error_of_one_line(tmp_path):
    source = make_site.write_cohort(tmp_path / "cohort", {"a": 5})
    prepare(source, data_dir=tmp_path / "data", image_size=12, workers=0)
    slices = load(tmp_path / "data")
    (records,) = (tmp_path / "data").rglob("*array_record*")
    os.truncate(records, 1000)
    with pytest.raises(ValueError, match=r"data/slices: [^\n]*; build the dataset anew") as raised:
        list(pipeline.eval_batches(slices, np.arange(4), batch_size=2))
    assert "\n" not in str(raised.value)


def test_importing_the_pipeline_starts_no_tensorflow():
    code = "import sys, fl_jax.data.pipeline; print('tensorflow' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("False", "")
