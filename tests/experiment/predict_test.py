"""Studies are examples like others: every layout trains on them alike, and whole ones are judged."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import layouts
from fl_jax.data import partition as partitions
from fl_jax.data import pipeline
from fl_jax.data.studies import group_into_studies
from fl_jax.experiment.arms import plan_arms
from fl_jax.experiment.features import in_place_of_pixels
from fl_jax.experiment.predict import BATCH_SIZES, Model, outputs, predict_slices, predict_studies
from fl_jax.models.study_head import study_head
from fl_jax.tasks.multi_label_studies import multi_label_studies

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def studies(slices):
    """Three sites' studies of three or four slices, whose labels are in their features."""
    features = np.asarray(slices.labels, np.float32) + 0.1 * np.arange(6)
    position = 5.0 * np.arange(len(slices), dtype=np.float32)
    return in_place_of_pixels(
        group_into_studies(dataclasses.replace(slices, position=position)), features
    )


@pytest.fixture(scope="module")
def task(studies):
    (batch,) = pipeline.eval_batches(studies, np.arange(1), batch_size=1)
    return multi_label_studies(study_head("transformer", 8, heads=2), batch.inputs)


@pytest.fixture(scope="module")
def arm(studies):
    partition = partitions.by_patient(studies, fractions=(0.5, 0.25, 0.25), seed=0)
    arms = plan_arms(studies, partition, rounds=1, epochs=1, min_sites=3, key=KEY)
    return arms["federated"], partition


def test_an_arm_counts_studies(arm, studies):
    federated, partition = arm
    assert federated.examples.tolist() == [
        [(partition.split[partition.site == s] == "train").sum() for s in "abc"]
    ]
    patients = studies.patient[studies.windows[np.concatenate(federated.train), 0]]
    split = dict(zip(partition.patient, partition.split, strict=True))
    assert {split[patient] for patient in patients} == {"train"}
    assert len(federated.validation) > len(studies.examples(federated.validation))  # slices


@pytest.mark.slow
def test_layouts_agree_on_studies(arm, studies, task):
    algorithm = scaffold(task.loss, optax.sgd(0.05))
    params = jax.jit(task.init)(KEY)

    def batches(site):
        rows = arm[0].train[site]
        return pipeline.train_batches(
            studies, rows, batch_size=2, examples=len(rows), seed=0, round_index=0, site="abc"[site]
        )

    runs = []
    for make in (layouts.sequential, layouts.vmapped):
        state = layouts.init(algorithm, weighted_mean(), params, 3, KEY)
        state, metrics = make(algorithm, weighted_mean())(state, batches, np.ones(3, bool))
        runs.append((state.server.params, metrics["loss"]))
        assert metrics["examples"].tolist() == arm[0].examples[0].tolist()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *runs)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), runs[0][0], params)
    assert max(jax.tree.leaves(moved)) > 1e-3


def test_whole_studies_are_judged_by_the_answer_for_them(arm, studies, task):
    model = Model(task.init(KEY), None)
    predicted = predict_studies(arm[0], task, model, studies, arm[1])
    slices = predict_slices(arm[0], task, model, studies, arm[1])["federated"]
    assert set(predicted.image) == set(slices.patient)  # a study a patient
    for name, split, truth in zip(predicted.image, predicted.split, predicted.truth, strict=True):
        rows = slices.patient == name
        assert set(slices.split[rows]) == {split}
        np.testing.assert_array_equal(truth, slices.truth[rows].max(0))
    number = studies.examples(np.flatnonzero(studies.patient == predicted.image[0]))
    (batch,) = pipeline.eval_batches(studies, number, batch_size=1)
    logit = task.logits(model.params, batch.inputs)[0, 0]
    np.testing.assert_allclose(predicted.scores[0], jax.nn.sigmoid(logit), rtol=1e-5)


def test_few_slices_on_a_cpu_are_not_padded_to_many(slices):
    sizes = []

    def predict(params, inputs):
        sizes.append(len(inputs))
        return np.zeros((len(inputs), 6))

    rows = np.arange(min(len(slices), 5))
    assert outputs(predict, {}, slices, rows).shape == (rows.size, 6)
    assert sizes == [BATCH_SIZES["cpu"]] == [16]
