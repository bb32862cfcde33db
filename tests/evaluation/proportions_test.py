import numpy as np
import pytest
from scipy import stats

from fl_jax.evaluation import proportions


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (190, 200), (1, 1)])
def test_wilson_equals_scipy(k, n, level):
    theirs = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert proportions.wilson(k / n, n, level) == pytest.approx(
        (theirs.low, theirs.high), abs=1e-12
    )


def test_the_ratio_estimator_by_hand():
    # p = 4/8; residuals y - p x = 1, -1, 1, -1; v = 4/3 * 4 / 64 = 1/12; n* = (1/4) / (1/12) = 3.
    found = proportions.proportion([2.0, 0, 2, 0], [2.0, 2, 2, 2])
    np.testing.assert_allclose(found[:3], (0.5, *proportions.wilson(0.5, 3)))
    np.testing.assert_allclose(found[3:], proportions.wilson(0.5, 8))


def test_one_slice_a_patient_is_the_plain_wilson_interval_but_for_the_degree_of_freedom():
    part = np.r_[np.ones(30), np.zeros(70)]
    found = proportions.proportion(part, np.ones(100))
    np.testing.assert_allclose(found[1:3], found[3:], atol=1e-3)
    assert found.low <= found.naive_low


def test_coverage_is_right_for_patients_and_wrong_for_slices():
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(1000):
        whole = rng.integers(5, 30, 100)
        share = rng.beta(4, 1, 100)  # mean 0.8
        found = proportions.proportion(rng.binomial(whole, share), whole)
        covered += found.low <= 0.8 <= found.high, found.naive_low <= 0.8 <= found.naive_high
    clustered, naive = covered / 1000
    assert 0.93 <= clustered <= 0.97
    assert naive < 0.85


def test_degenerate_counts():
    part, whole = np.array([[0.0, 0], [3, 4], [0, 2]]), np.array([[0.0, 0], [3, 4], [0, 4]])
    found = proportions.proportion(part, whole)
    assert np.isnan([row[0] for row in found]).all()
    assert (found.estimate[1], found.high[1]) == (1, 1)
    assert found.low[1] == proportions.wilson(1, 2)[0]  # two patients, not seven slices
    assert found.low[1] < found.naive_low[1]
    assert found.low[2] == proportions.wilson(0.5, 1)[0]  # one patient has the slices


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportions.wilson(0.5, 3, 95), "level=95"),
        (
            lambda: proportions.proportion([1.0], [1.0, 2]),
            r"part has shape \(1,\) and whole \(2,\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
