import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from fl_jax.evaluation.temperature_scaling import fit, logits, scaled, site


def _slices(count: int, seed: int, true: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Overconfident by the factor `true`."""
    rng = np.random.default_rng(seed)
    z = 4 * rng.normal(size=count) - 2
    return (rng.random(count) < special.expit(z / true)).astype(int), special.expit(z)


def test_it_is_the_maximum_likelihood_fit():
    truth, scores = _slices(5000, 0)
    found = fit([site(truth, scores)])
    assert found == pytest.approx(2.5, rel=0.1)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    model.fit(logits(scores)[:, None], truth)
    assert 1 / found == pytest.approx(model.coef_[0, 0], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_federated_fit_is_the_pooled_fit(seed):
    parts = [_slices(count, 10 * seed + i) for i, count in enumerate((900, 40, 7, 1, 0))]
    federated = fit([site(*part) for part in parts])
    pooled = site(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    assert federated == pytest.approx(fit([pooled]), abs=1e-8)
    assert federated != pytest.approx(fit([site(*parts[1])]), abs=1e-3)


def test_what_a_site_says_are_the_loss_and_its_derivatives():
    answer = site(*_slices(50, 3))
    at, step = 0.7, 1e-5
    low, middle, high = (answer(at + move) for move in (-step, 0, step))
    assert middle.slope == pytest.approx((high.loss - low.loss) / (2 * step), rel=1e-6)
    assert middle.curvature == pytest.approx((high.slope - low.slope) / (2 * step), rel=1e-6)
    assert middle.slices == 50


def test_scaling_keeps_the_ranking_and_lowers_the_loss():
    truth, scores = _slices(2000, 5)
    found = fit([site(truth, scores)])
    after = scaled(scores, found)
    assert (np.argsort(after) == np.argsort(scores)).all()
    losses = [site(truth, p)(1.0).loss for p in (scores, after)]
    assert losses[1] < 0.9 * losses[0]
    np.testing.assert_allclose(scaled(scores, 1.0), scores, atol=1e-7)
    assert np.isfinite(logits([0.0, 1.0])).all()


@pytest.mark.parametrize(
    ("truth", "scores"),
    [
        ([], []),
        ([0, 1], [0.5, 0.5]),
        ([0, 0, 1], [0.1, 0.4, 0.9]),  # separated
        ([0, 0, 0], [0.1, 0.2, 0.3]),
        ([1, 1, 0, 0], [0.1, 0.2, 0.9, 0.8]),  # the wrong way round
        ([1, 1, 0, 0, 1], [0.1, 0.2, 0.9, 0.8, 0.6]),
    ],
)
def test_where_there_is_no_temperature_it_is_nan(truth, scores):
    assert np.isnan(fit([site(truth, scores)]))
    assert np.isnan(fit([]))


def test_a_temperature_that_is_none_is_refused():
    with pytest.raises(ValueError, match="temperature=0"):
        scaled([0.5], 0)
