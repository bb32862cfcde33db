import numpy as np
import pytest
from sklearn import metrics
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation.bootstrap import difference, intervals
from fl_jax.evaluation.bootstrap_metrics import NAMES, jackknife, measure


def test_estimates_equal_scikit_learn():
    data = cohort()
    thresholds = np.linspace(0.3, 0.7, len(LABELS))
    found = intervals(measure(data, thresholds, resamples=20))
    columns = list(zip(data.truth.T, data.scores.T, strict=True))
    auroc = np.array([metrics.roc_auc_score(*column) for column in columns])
    precision = np.array([metrics.average_precision_score(*column) for column in columns])
    called, fixed = data.scores >= thresholds, data.scores >= 0.4
    for column, label in enumerate(LABELS):
        truth = data.truth[:, column]
        assert found[f"auroc/{label}"].estimate == pytest.approx(auroc[column], abs=1e-12)
        assert found[f"average_precision/{label}"].estimate == pytest.approx(
            precision[column], abs=1e-12
        )
        assert found[f"f1_at_0.4/{label}"].estimate == pytest.approx(
            metrics.f1_score(truth, fixed[:, column])
        )
        assert found[f"recall_at_youden/{label}"].estimate == pytest.approx(
            metrics.recall_score(truth, called[:, column])
        )
        assert found[f"precision_at_youden/{label}"].estimate == pytest.approx(
            metrics.precision_score(truth, called[:, column])
        )
    pooled = data.truth.ravel(), data.scores.ravel()
    assert found["auroc/macro"].estimate == pytest.approx(auroc.mean(), abs=1e-12)
    assert found["auroc/micro"].estimate == pytest.approx(metrics.roc_auc_score(*pooled), abs=1e-12)
    assert found["average_precision/micro"].estimate == pytest.approx(
        metrics.average_precision_score(*pooled), abs=1e-12
    )
    assert found["f1_at_0.4/micro"].estimate == pytest.approx(
        metrics.f1_score(data.truth, fixed, average="micro")
    )
    assert found["f1_at_0.4/macro"].estimate == pytest.approx(
        metrics.f1_score(data.truth, fixed, average="macro")
    )


def test_an_absent_label_leaves_macro_to_the_others_and_is_nan():
    data = cohort()
    truth = data.truth.copy()
    truth[:, 1] = 0
    found = intervals(measure(data._replace(truth=truth), resamples=20))
    assert np.isnan(found["auroc/epidural"].estimate)
    assert found["auroc/epidural"].undefined == 20
    others = [found[f"auroc/{label}"].estimate for label in LABELS if label != "epidural"]
    assert found["auroc/macro"].estimate == pytest.approx(np.mean(others))
    assert found["auroc/macro"].undefined == 0
    assert np.isnan(found["recall_at_youden/any"].estimate)  # no thresholds were given


def test_macro_is_undefined_where_a_label_of_one_patient_is_not_drawn():
    data = cohort(patients=10)
    truth = data.truth.copy()
    truth[:, 1] = data.patient == "p003"
    found = intervals(measure(data._replace(truth=truth), resamples=500))
    # A stratum of 5 patients misses a given one with probability (4/5)^5 = 0.33.
    assert found["auroc/macro"].undefined / 500 == pytest.approx(0.33, abs=0.07)
    assert found["auroc/macro"].undefined == found["auroc/epidural"].undefined


def test_bca_is_near_the_percentile_interval():
    data = cohort()
    measured = measure(data, resamples=400)
    without = jackknife(data)
    assert without.samples.shape == (len(NAMES), 40)
    plain, bent = (
        intervals(measured)["auroc/micro"],
        intervals(measured, 0.95, without)["auroc/micro"],
    )
    assert plain != bent
    assert bent[:3] == pytest.approx(plain[:3], abs=0.01)


def test_equal_models_differ_by_nothing_and_a_better_one_by_less_than_unpaired():
    good, bad = cohort(shift=2.5), cohort(shift=2.0)
    first, second = measure(good), measure(bad)
    assert not np.nanmax(np.abs(difference(first, measure(good)).samples))
    paired = intervals(difference(first, second))["auroc/micro"]
    unpaired = intervals(difference(first, measure(bad, seed=1)))["auroc/micro"]
    assert paired.estimate > 0
    assert paired.high - paired.low < unpaired.high - unpaired.low
