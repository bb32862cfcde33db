import numpy as np
import pytest
from sklearn import metrics
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation import operating_points, roc


def test_the_highest_threshold_with_a_sensitivity_by_hand():
    truth = np.r_[np.ones(20), np.zeros(5)]
    scores = np.r_[np.arange(1, 21) / 20, np.full(5, 0.99)]
    assert operating_points.sensitivity_threshold(truth, scores, 0.95) == 0.1  # 19 of 20
    assert operating_points.sensitivity_threshold(truth, scores, 0.951) == 0.05
    assert operating_points.sensitivity_threshold(truth, scores, 1) == 0.05
    assert np.isnan(operating_points.sensitivity_threshold(np.ones(3), np.ones(3), 0.9))
    with pytest.raises(ValueError, match="sensitivity=0"):
        operating_points.sensitivity_threshold(truth, scores, 0)


def test_the_lowest_threshold_with_a_specificity_by_hand():
    truth = np.r_[np.zeros(20), np.ones(3)]
    scores = np.r_[np.arange(1, 21) / 20, 0.93, 0.2, 0.97]
    find = operating_points.specificity_threshold
    assert find(truth, scores, 0.9) == 0.93  # 18 of 20 are at most 0.9
    assert find(truth, scores, 0.91) == 0.97
    assert find(truth, scores, 0) == 0.05
    assert 1 < find(truth, scores, 1) < 1.001
    assert np.isnan(find(np.ones(3), np.ones(3), 0.9))
    tied = np.r_[np.full(20, 0.5), 0.5, 0.5, 0.6]  # an equal score is called
    assert find(truth, tied, 0.9) == 0.6
    with pytest.raises(ValueError, match="specificity=2"):
        find(truth, scores, 2)


def test_thresholds_come_from_validation_data_and_keep_their_promise_there():
    validation = cohort(split="validation")
    found = operating_points.thresholds(validation)
    assert list(found) == [
        "fixed_0.4",
        "youden",
        "sensitivity_0.95",
        "sensitivity_0.98",
        "specificity_0.9",
    ]
    assert found["youden"][2] == roc.youden_threshold(
        validation.truth[:, 2], validation.scores[:, 2]
    )
    for share in operating_points.SENSITIVITIES:
        judged = operating_points.calls_at(validation, found[f"sensitivity_{share}"])
        reached = judged.rates["recall"].estimate[:-1]
        assert (reached >= share).all()
        assert (reached < share + 0.02).all()
    judged = operating_points.calls_at(validation, found["specificity_0.9"])
    reached = judged.rates["specificity"].estimate[:-1]
    assert (reached >= 0.9).all()
    assert (reached < 0.92).all()


def test_rates_equal_scikit_learn_and_lie_in_their_intervals():
    data = cohort(seed=1)
    chosen = np.linspace(0.3, 0.6, len(LABELS))
    judged = operating_points.calls_at(data, chosen)
    called = data.scores >= chosen
    truths = [*data.truth.T, data.truth.ravel()]
    for column, (truth, call) in enumerate(zip(truths, [*called.T, called.ravel()], strict=True)):
        tn, fp, fn, tp = metrics.confusion_matrix(truth, call).ravel()
        assert judged.cells[:, column].tolist() == [tp, fp, fn, tn]
        expected = {
            "precision": metrics.precision_score(truth, call),
            "recall": metrics.recall_score(truth, call),
            "specificity": metrics.recall_score(1 - truth, ~call),
            "f1": metrics.f1_score(truth, call),
        }
        for name, value in expected.items():
            rate = [limits[column] for limits in judged.rates[name]]
            assert rate[0] == pytest.approx(value)
            assert rate[1] <= rate[3] < rate[0] < rate[4] <= rate[2]


def test_no_threshold_no_rate():
    chosen = np.full(len(LABELS), 0.4)
    chosen[1] = np.nan
    judged = operating_points.calls_at(cohort(), chosen)
    for rate in judged.rates.values():
        assert np.isnan(rate.estimate[[1, -1]]).all()
        assert np.isfinite(rate.estimate[[0, 2, 3, 4, 5]]).all()


def test_youden_thresholds_per_label_and_nan_without_both_classes():
    data = cohort()
    truth = data.truth.copy()
    truth[:, 2] = 0
    thresholds = operating_points.youden_thresholds(data._replace(truth=truth))
    assert np.isnan(thresholds[2])
    assert np.isfinite(np.delete(thresholds, 2)).all()
