import numpy as np
import pytest

from fl_jax.evaluation import seed_variance
from fl_jax.evaluation.bootstrap import Resampled


def _seed(estimate: float, samples: list[float]) -> Resampled:
    return Resampled(("x",), np.array([estimate]), np.array([samples]))


def test_by_hand():
    # Means over seeds in the resamples: 1, 2, 3: variance 1. Seeds: 1, 3: variance 2, over 2: 1. Total 2.
    found = seed_variance.spread([_seed(1, [0, 1, 2]), _seed(3, [2, 3, 4])])["x"]
    assert found[:4] == pytest.approx((2, 1, np.sqrt(2), np.sqrt(2)))
    # df = 1 * (2 / 1)^2 = 4, whose 97.5 % quantile is 2.776.
    assert found.high - found.mean == pytest.approx(2.776 * np.sqrt(2), abs=1e-3)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert found.seeds == 2


def test_the_total_error_covers_new_patients_and_new_seeds():
    rng = np.random.default_rng(0)
    covered, patients_alone, trials = 0, 0, 1000
    for _ in range(trials):
        shared, own = 0.4 * rng.normal(), 0.7 * rng.normal(size=4)
        drawn = 0.4 * rng.normal(size=200)
        found = seed_variance.spread(
            [_seed(shared + x, (shared + x + drawn).tolist()) for x in own]
        )["x"]
        covered += found.low <= 0 <= found.high
        patients_alone += abs(found.mean) <= 1.96 * found.within
    assert 0.93 <= covered / trials <= 0.975
    assert patients_alone / trials < 0.9


def test_equal_seeds_leave_the_patients_error():
    one = _seed(2, [1, 2, 3])
    found = seed_variance.spread([one, one, one])["x"]
    assert found[1:4] == pytest.approx((1, 0, 1))
    assert found.high == pytest.approx(2 + 1.96, abs=1e-2)


def test_what_is_undefined():
    one = seed_variance.spread([_seed(2, [1, 2, 3])])["x"]
    assert (one.mean, one.within, one.seeds) == (2, 1, 1)
    assert np.isnan([one.between, one.error, one.low, one.high]).all()
    lost = seed_variance.spread([_seed(2, [1, 2, 3]), _seed(np.nan, [np.nan] * 3)])["x"]
    assert np.isnan(lost[:6]).all()
    holes = seed_variance.spread([_seed(2, [1, np.nan, 3]), _seed(2, [1, 2, 3])])["x"]
    assert holes.within == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize(
    ("results", "level", "message"),
    [
        ([], 0.95, "results are of 0 kinds"),
        ([_seed(1, [1, 2]), _seed(1, [1, 2, 3])], 0.95, "results are of 2 kinds"),
        ([_seed(1, [1, 2])], 95, "level=95"),
    ],
)
def test_bad_input_is_named(results, level, message):
    with pytest.raises(ValueError, match=message):
        seed_variance.spread(results, level)
