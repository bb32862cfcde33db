import numpy as np
import pytest
from sklearn import metrics

from fl_jax.evaluation.bootstrap import patient_weights
from fl_jax.report import curves

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(40), 5)
TRUTH = (RNG.random(200) < 0.4).astype(int)
SCORES = np.round(TRUTH + RNG.normal(size=200), 1)  # with ties


def test_one_resample_of_everybody_is_the_curve_itself():
    roc, recall = curves.band(TRUTH, SCORES, GROUPS, np.ones((40, 1)), level=0.95)
    x, y, _ = metrics.roc_curve(TRUTH, SCORES)
    np.testing.assert_allclose(roc[0], np.interp(curves.GRID, x, y), atol=1e-12)
    np.testing.assert_array_equal(*roc)
    precision, reached, _ = metrics.precision_recall_curve(TRUTH, SCORES)
    for at in (10, 50, 100):
        first = np.flatnonzero(reached >= curves.GRID[at] - 1e-12)[
            -1
        ]  # recall falls along the array
        assert recall[0][at] == pytest.approx(precision[first])


def test_a_patient_who_is_drawn_twice_counts_twice():
    weights = np.ones((40, 1))
    weights[3], weights[4] = 2, 0
    rows = np.concatenate([np.flatnonzero(GROUPS != 4), np.flatnonzero(GROUPS == 3)])
    drawn = curves.band(TRUTH, SCORES, GROUPS, weights, level=0.95)
    plain = curves.band(TRUTH[rows], SCORES[rows], GROUPS[rows], np.ones((40, 1)), level=0.95)
    np.testing.assert_allclose(drawn, plain, atol=1e-12)


def test_a_band_contains_the_curve():
    weights = patient_weights(40, resamples=100, seed=0)
    (low, high), _ = curves.band(TRUTH, SCORES, GROUPS, weights, level=0.95)
    assert ((low >= 0) & (low <= high) & (high <= 1)).all()
    x, y, _ = metrics.roc_curve(TRUTH, SCORES)
    inside = np.interp(curves.GRID, x, y)
    assert ((low - 0.02 <= inside) & (inside <= high + 0.02)).mean() > 0.9


def test_a_band_is_wider_with_fewer_patients():
    def width(patients):
        rows = slice(0, 5 * patients)
        weights = patient_weights(patients, resamples=200, seed=0)
        (low, high), _ = curves.band(TRUTH[rows], SCORES[rows], GROUPS[rows], weights, level=0.95)
        return (high - low).mean()

    assert width(10) > 1.4 * width(40)


def test_one_class_has_no_band():
    for edges in curves.band(np.ones(5), SCORES[:5], np.zeros(5, int), np.ones((1, 2)), level=0.95):
        assert [edge.size for edge in edges] == [0, 0]
