import numpy as np
import pytest
from sklearn import metrics
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation import calibration
from fl_jax.evaluation.calibration import Calibration


def _scores(count: int = 4000, seed: int = 0, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random(count)
    return (rng.random(count) < p**power).astype(int), p


def test_murphys_identity_by_hand():
    # Two bins: p = 0.2 with 1 of 4 positive, p = 0.8 with 3 of 4.
    truth, scores = np.array([1, 0, 0, 0, 1, 1, 1, 0]), np.repeat([0.2, 0.8], 4)
    found = calibration.calibration(truth, scores)
    assert found.brier == pytest.approx((2 * 0.64 + 6 * 0.04) / 8)
    assert found.reliability == pytest.approx(0.05**2)
    assert found.resolution == pytest.approx(0.25**2)
    assert found.uncertainty == pytest.approx(0.25)
    assert found.within == pytest.approx(0, abs=1e-15)
    assert found.ece == pytest.approx(0.05)
    np.testing.assert_allclose(found.curve.predicted, [0.2, 0.8])
    np.testing.assert_allclose(found.curve.observed.estimate, [0.25, 0.75])
    np.testing.assert_array_equal(found.curve.slices, [4, 4])


def test_the_brier_score_and_the_curve_equal_scikit_learn():
    from sklearn.calibration import calibration_curve

    truth, scores = _scores()
    found = calibration.calibration(truth, scores)
    assert found.brier == pytest.approx(metrics.brier_score_loss(truth, scores), abs=1e-12)
    observed, predicted = calibration_curve(truth, scores, n_bins=10)
    np.testing.assert_allclose(found.curve.observed.estimate, observed, atol=1e-12)
    np.testing.assert_allclose(found.curve.predicted, predicted, atol=1e-12)


@pytest.mark.parametrize("bins", [1, 10, 400])
def test_the_parts_add_up_and_what_is_left_within_bins_shrinks(bins):
    truth, scores = _scores(power=2)
    found = calibration.calibration(truth, scores, bins=bins)
    total = found.reliability - found.resolution + found.uncertainty + found.within
    assert found.brier == pytest.approx(total, abs=1e-12)
    assert abs(found.within) < 0.1 / bins


def test_a_perfect_model_has_the_floors_error_and_a_bad_one_more():
    perfect = [calibration.calibration(*_scores(seed=seed)) for seed in range(40)]
    mean = np.mean([found.ece for found in perfect])
    assert mean == pytest.approx(np.mean([found.ece_floor for found in perfect]), rel=0.1)
    off = calibration.calibration(*_scores(power=2))
    assert off.ece > 5 * off.ece_floor


def test_patients_widen_the_curves_intervals():
    truth, scores = np.repeat([1, 0, 1, 1, 0, 0, 1, 0], 50), np.full(400, 0.5)
    found = calibration.calibration(truth, scores, np.repeat(np.arange(8), 50)).curve.observed
    assert found.high - found.low > 4 * (found.naive_high - found.naive_low)


def test_the_challenges_loss_counts_any_twice():
    data = cohort()
    losses = [metrics.log_loss(data.truth[:, i], data.scores[:, i]) for i in range(len(LABELS))]
    assert LABELS[0] == "any"
    expected = (2 * losses[0] + sum(losses[1:])) / 7
    assert calibration.challenge_loss(data) == pytest.approx(expected, abs=1e-12)
    sure = data._replace(scores=1.0 - data.truth)
    assert calibration.challenge_loss(sure) == pytest.approx(-np.log(1e-15), rel=1e-3)


def test_nothing_to_calibrate():
    found = calibration.calibration([], [])
    assert np.isnan(found[:7]).all()
    assert found.curve.slices.size == 0
    empty = cohort(1, 1)
    empty = empty._replace(**{name: getattr(empty, name)[:0] for name in empty._fields})
    assert np.isnan(calibration.challenge_loss(empty))


@pytest.mark.parametrize(
    ("scores", "bins", "message"),
    [([0.5, 1.5], 10, "scores holds a value outside"), ([0.5, 0.5], 0, "bins=0")],
)
def test_bad_input_is_named(scores, bins, message):
    with pytest.raises(ValueError, match=message):
        calibration.calibration([0, 1], scores, bins=bins)


def test_the_fields_are_those_that_the_docstring_lists():
    for name in Calibration._fields:
        assert f"        {name}: " in (Calibration.__doc__ or "")
