import numpy as np
import pytest

from fl_jax.evaluation import comparisons
from fl_jax.evaluation.bootstrap import Resampled
from fl_jax.evaluation.delong import Estimate


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(value, error, value - 1.96 * error, value + 1.96 * error, np.nan)


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (-0.01, 0.004, "non-inferior"),
        (0.05, 0.01, "non-inferior"),
        (-0.01, 0.01, "inconclusive"),
        (-0.05, 0.01, "inferior"),
        (np.nan, np.nan, "undefined"),
    ],
)
def test_the_lower_limit_decides(value, error, verdict):
    found = comparisons.non_inferiority(_estimate(value, error), 0.02)
    assert (found.margin, found.verdict) == (0.02, verdict)
    if verdict == "non-inferior":
        assert found.p < 0.025
    elif verdict == "inconclusive":
        assert 0.025 < found.p < 0.975


def test_the_one_sided_test_by_hand():
    # (-0.0104 + 0.03) / 0.01 = 1.96 standard errors above the margin.
    found = comparisons.non_inferiority(_estimate(-0.0104, 0.01), 0.03)
    assert found.p == pytest.approx(0.025, abs=1e-4)
    with pytest.raises(ValueError, match="margin=0"):
        comparisons.non_inferiority(_estimate(0, 1), 0)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # R: p.adjust(p, "holm")
        ([0.6, 0.9], [1, 1]),
        ([0.01, np.nan, 0.04], [0.02, np.nan, 0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(p, expected):
    np.testing.assert_allclose(comparisons.holm(p), expected)


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"p holds 1\.5"):
        comparisons.holm([0.5, 1.5])


def _site(rows: dict[str, list[float]]) -> dict[str, Resampled]:
    """The first value is the estimate, the rest are resamples."""
    return {
        model: Resampled(("x",), np.array([values[0]]), np.array([values[1:]]))
        for model, values in rows.items()
    }


MEASURED = {
    "north": _site({"a": [3, 3, 3, 3, 1], "b": [2, 2, 2, 4, 2], "c": [1, 1, 2, 1, 3]}),
    "south": _site({"a": [3, 3, 1, 3, 1], "b": [2, 2, 2, 2, 2], "c": [1, 1, 3, 1, np.nan]}),
}


def test_ranks_by_hand():
    # Ranks of a: north 1 1 2 3, south 1 3 1 2. Of b: north 2 2 1 2, south 2 2 2 1.
    # Of c: north 3 2 3 1, south 3 1 3 none.
    found = comparisons.ranks(MEASURED, "x", places=2)
    assert [found[m].mean.estimate for m in "abc"] == [1, 2, 3]
    assert [found[m].top for m in "abc"] == pytest.approx([2 / 4, 1, 1 / 3])
    # Mean ranks: a 1 2 1.5 2.5, b 2 2 1.5 1.5, c 3 1.5 3 none.
    assert [found[m].first for m in "abc"] == pytest.approx([2 / 4, 2 / 4, 1 / 3])
    assert [found[m].mean.undefined for m in "abc"] == [0, 0, 1]
    assert found["b"].mean.low >= 1.5
    assert comparisons.ranks({}, "x") == {}


def test_the_worst_site_by_hand():
    measured = {
        "north": _site({"a": [0.9, 0.9, 0.8], "b": [0.7, 0.7, 0.7]}),
        "south": _site({"a": [0.8, 0.7, 0.9], "b": [np.nan, np.nan, np.nan]}),
    }
    found = comparisons.worst_site(measured, "x", level=0.5)
    site, interval = found["a"]
    assert (site, interval.estimate) == ("south", 0.8)
    assert (interval.low, interval.high) == pytest.approx((0.725, 0.775))  # of 0.7 and 0.8
    assert found["b"][0] is None
    assert np.isnan(found["b"][1].estimate)
    assert comparisons.worst_site({}, "x") == {}


def test_a_hole_is_refused():
    with pytest.raises(ValueError, match=r"measured\['south'\] holds the models \['a'\]"):
        comparisons.ranks({"north": MEASURED["north"], "south": _site({"a": [1, 1]})}, "x")
    with pytest.raises(ValueError, match=r"\['a'\] lacks the statistic 'y'"):
        comparisons.worst_site(MEASURED, "y")
