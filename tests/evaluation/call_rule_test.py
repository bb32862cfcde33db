"""Thresholds of calls rest on validation data, and say so where these are too few."""

import numpy as np
import pytest
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation import call_rule, noisy_or, roc
from fl_jax.evaluation.predictions import select


@pytest.fixture(name="validation")
def _validation():
    """40 patients; patients 0 to 19 have no slice with hemorrhage."""
    data = cohort(split="validation")
    truth = data.truth.copy()
    truth[data.patient < "p020"] = 0
    return data._replace(truth=truth)


def test_one_slice_in_ten_without_hemorrhage_is_called_on_validation_data(validation):
    rule = call_rule.choose(validation)
    called = rule.calls_slices(validation.scores)[:, 0]
    normal = validation.truth[:, 0] == 0
    assert 0.09 < called[normal].mean() <= 0.1
    threshold = rule.slices[0]
    assert threshold.chosen
    assert (threshold.negatives, threshold.patients) == (normal.sum(), 40)


def test_patients_are_called_at_youdens_threshold_of_their_scores(validation):
    rule = call_rule.choose(validation)
    fitted = noisy_or.fit(validation)
    assert fitted is not None
    patients = noisy_or.aggregate(validation, fitted)
    threshold = rule.patients[0]
    assert threshold.value == roc.youden_threshold(patients.truth[:, 0], patients.scores[:, 0])
    with_it = patients.truth[:, 0].sum()
    assert threshold == (threshold.value, True, with_it, 40 - with_it, 40)
    scores = rule.patient_scores(validation.scores, validation.patient)
    np.testing.assert_array_equal(scores, patients.scores)
    called = rule.calls_patients(scores, np.zeros(scores.shape, bool))
    np.testing.assert_array_equal(called[:, 0], scores[:, 0] >= threshold.value)


def test_too_few_patients_give_the_fixed_threshold_and_the_call_of_a_slice(validation):
    few = select(validation, (validation.patient >= "p017") & (validation.patient < "p022"))
    truth = few.truth.copy()
    truth[few.patient < "p018", 0] = 1
    rule = call_rule.choose(few._replace(truth=truth))
    assert rule.slices[0].value == call_rule.FALLBACK
    assert not rule.slices[0].chosen
    assert not rule.patients[0].chosen
    of_slices = np.array([[True] + 5 * [False], 6 * [False]])
    called = rule.calls_patients(np.full((2, len(LABELS)), 0.99), of_slices)
    np.testing.assert_array_equal(called, of_slices)


def test_without_validation_data_every_threshold_is_fixed(validation):
    rule = call_rule.choose(select(validation, np.zeros(validation.image.size, bool)))
    assert [threshold.value for threshold in rule.slices] == 6 * [call_rule.FALLBACK]
    scores = rule.patient_scores(validation.scores, validation.patient)  # the largest of the slices
    assert scores[0, 0] == validation.scores[validation.patient == "p000", 0].max()
    assert {threshold.patients for threshold in (*rule.slices, *rule.patients)} == {0}
