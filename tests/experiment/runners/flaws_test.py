"""Each flaw does what the config's docstring says, by hand arithmetic, and nothing else."""

import numpy as np
import pytest

from fl_jax.data.partition import Partition
from fl_jax.data.slices import Slices
from fl_jax.evaluation.predictions import Predictions
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.runners import flaws

PATIENTS = 12
SPLITS = ["train"] * 3 + ["validation"] * 1 + ["test"] * 2


def make_slices(each: int = 10) -> Slices:
    names = np.repeat([f"p{n:02}" for n in range(PATIENTS)], each)
    count = len(names)
    return Slices(
        image=np.arange(count).astype(str),
        patient=names,
        study=names,
        series=names,
        site=np.where(names < "p06", "a", "b"),
        position=np.arange(count, dtype=np.float32),
        labels=np.random.default_rng(0).integers(0, 2, (count, 6)).astype(np.int8),
        thickness=np.ones(count, np.float32),
        image_shape=(4, 4),
        source=None,
        pixels=np.full((count, 4, 4), 40, np.int16),
    )


def make_partition() -> Partition:
    names = np.array([f"p{n:02}" for n in range(PATIENTS)])
    return Partition(names, np.where(names < "p06", "a", "b"), np.array(SPLITS * 2))


def make_arm(slices: Slices, partition: Partition) -> Arm:
    train = tuple(partition.rows(slices, "train", site) for site in ("a", "b"))
    validation = partition.rows(slices, "validation")
    return Arm("federated", ("a", "b"), train, validation, np.ones((3, 2), bool), np.ones((3, 2)))


def test_the_split_by_image_has_as_many_slices_and_patients_on_both_sides():
    slices, partition = make_slices(), make_partition()
    right = make_arm(slices, partition)
    arm, test = flaws.split_by_image(slices, partition, right, seed=0)
    parts = [*arm.train, arm.validation, test]
    assert [len(rows) for rows in parts] == [30, 30, 20, 40]
    assert sorted(np.concatenate(parts)) == [*range(len(slices))]
    assert [set(slices.site[rows]) for rows in arm.train] == [{"a"}, {"b"}]
    shared = set(slices.patient[np.concatenate(arm.train)]) & set(slices.patient[test])
    assert len(shared) > PATIENTS / 2
    other, _ = flaws.split_by_image(slices, partition, right, seed=1)
    assert not np.array_equal(arm.train[0], other.train[0])


def test_unreadable_files_are_air_with_their_labels_or_left_out():
    slices = make_slices()
    lost = flaws.unreadable(len(slices), 0.25, seed=0)
    assert lost.sum() == 30
    zeros = flaws.zeroed(slices, lost)
    assert (zeros.hu(np.flatnonzero(lost)) == flaws.AIR).all()
    assert (zeros.hu(np.flatnonzero(~lost)) == 40).all()
    assert (slices.hu(np.arange(len(slices))) == 40).all()
    assert zeros.labels is slices.labels
    kept = flaws.without(make_arm(slices, make_partition()), lost)
    assert not lost[np.concatenate([*kept.train, kept.validation])].any()
    assert sum(map(len, kept.train)) == 60 - lost[np.r_[0:30, 60:90]].sum()


def test_one_round_of_an_arm():
    arm = flaws.one_round(make_arm(make_slices(), make_partition()))
    assert arm.examples.shape == arm.participating.shape == (1, 2)


def test_bleed_free_weights_by_hand():
    labels = np.zeros((20, 6), int)
    labels[:8, 0] = 1  # 12 are bleed-free
    labels[:3, 1] = 1
    labels[:1, 2] = 1
    labels[:8, 3] = 1
    weights = flaws.bleed_free_weights(labels, ceiling=10.0)
    np.testing.assert_allclose(weights, [1.5, 4, 10, 1.5, 10, 10])


def clusters(patients: int, each: int, *, alike: bool) -> Predictions:
    """Scores of which a patient's are alike, or independent."""
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 2, (patients, 6)), each, axis=0)
    noise = rng.normal(size=(patients, 6)).repeat(each, axis=0)
    if not alike:
        noise = rng.normal(size=truth.shape)
        truth = rng.integers(0, 2, truth.shape)
    text = np.repeat(np.arange(patients), each).astype(str)
    return Predictions(
        image=np.arange(len(text)).astype(str),
        patient=text,
        site=np.full(len(text), "holdout"),
        split=np.full(len(text), "holdout"),
        truth=truth.astype(np.uint8),
        scores=truth + noise,
    )


@pytest.mark.parametrize("alike", [True, False])
def test_slices_that_count_as_patients_cost_coverage_only_where_they_are_alike(alike):
    shares = flaws.coverage(clusters(40, 10, alike=alike), resamples=100, seed=0)
    assert shares["undefined"] == 0
    assert shares["difference"] == shares["published"] - shares["right"]
    assert len(shares["samples"]) == 100
    assert shares["coverage_right"] > 0.85
    if alike:
        assert shares["coverage_published"] < 0.6
        assert shares["published"] < shares["right"] / 2
    else:
        assert shares["coverage_published"] > 0.85
        assert shares["published"] == pytest.approx(shares["right"], rel=0.25)
