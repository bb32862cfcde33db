import numpy as np
import pytest
from sklearn import metrics

from fl_jax.evaluation import roc


def _case(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 300))
    truth = (rng.random(size) < 0.3).astype(np.uint8)
    truth[:2] = 0, 1
    scores = {
        "random": rng.random(size),
        "tied": rng.integers(0, 4, size) / 4,
        "constant": np.full(size, 0.3),
        "informative": np.round(1 / (1 + np.exp(-rng.normal(truth * 2.0 - 1))), 2),
        "float32": rng.random(size).astype(np.float32),
    }[kind]
    return truth, scores


def average_precision(truth, scores):
    return roc.areas(roc.rank(truth, scores), np.ones((len(truth), 1)))[1][0]


@pytest.mark.parametrize("kind", ["random", "tied", "constant", "informative", "float32"])
@pytest.mark.parametrize("seed", range(5))
def test_areas_equal_scikit_learn(kind, seed):
    truth, scores = _case(kind, seed)
    assert roc.auroc(truth, scores) == pytest.approx(
        metrics.roc_auc_score(truth, scores), abs=1e-12
    )
    assert average_precision(truth, scores) == pytest.approx(
        metrics.average_precision_score(truth, scores), abs=1e-12
    )


@pytest.mark.parametrize("kind", ["random", "tied", "informative"])
def test_real_weights_equal_scikit_learn(kind):
    truth, scores = _case(kind, 9)
    weights = np.random.default_rng(1).random(truth.size)
    auroc, precision = roc.areas(roc.rank(truth, scores), weights[:, None])
    assert auroc[0] == pytest.approx(
        metrics.roc_auc_score(truth, scores, sample_weight=weights), abs=1e-12
    )
    assert precision[0] == pytest.approx(
        metrics.average_precision_score(truth, scores, sample_weight=weights), abs=1e-12
    )


@pytest.mark.parametrize("kind", ["random", "tied", "constant", "informative"])
def test_a_weighted_group_is_its_rows_repeated(kind):
    truth, scores = _case(kind, 3)
    rng = np.random.default_rng(2)
    groups = rng.integers(0, 7, truth.size)
    weights = rng.integers(0, 4, (7, 20)).astype(float)
    auroc, precision = roc.areas(roc.rank(truth, scores, groups, 7), weights)
    for column in range(20):
        rows = np.repeat(np.arange(truth.size), weights[groups, column].astype(int))
        np.testing.assert_allclose(
            (auroc[column], precision[column]),
            (
                roc.auroc(truth[rows], scores[rows]),
                average_precision(truth[rows], scores[rows]),
            ),
            atol=1e-12,
        )


def test_areas_by_hand():
    # Positives 0.8 and 0.4, negatives 0.6, 0.4 and 0.1: 3 + (1/2 + 1) wins in 6 pairs.
    truth, scores = [1, 1, 0, 0, 0], [0.8, 0.4, 0.6, 0.4, 0.1]
    assert roc.auroc(truth, scores) == 4.5 / 6
    # Precision 1 of 1 at 0.8, and 2 of 4 at 0.4.
    assert average_precision(truth, scores) == pytest.approx((1 + 2 / 4) / 2)


@pytest.mark.parametrize(("truth", "scores"), [([], []), ([0, 0], [0.1, 0.2]), ([1], [0.5])])
def test_one_class_is_undefined(truth, scores):
    assert np.isnan(roc.auroc(truth, scores))
    assert np.isnan(average_precision(truth, scores))
    assert np.isnan(roc.youden_threshold(truth, scores))
    assert roc.roc_curve(truth, scores).x.size == 0
    assert roc.precision_recall_curve(truth, scores).x.size == 0


def test_a_resample_without_a_class_is_undefined_and_only_that_one():
    ranking = roc.rank([1, 0, 0], [0.9, 0.5, 0.4], [0, 1, 2])
    auroc, precision = roc.areas(ranking, np.array([[1.0, 0, 2], [1, 2, 0], [1, 1, 0]]))
    np.testing.assert_array_equal(auroc, [1, np.nan, np.nan])
    np.testing.assert_array_equal(precision, [1, np.nan, np.nan])


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([0, 1], [0.5], r"truth has shape \(2,\) and scores \(1,\)"),
        ([0, 2], [0.5, 0.5], "truth holds .*2.*: pass 0 and 1 only"),
        ([0, 1], [0.5, np.nan], "scores holds 1 NaN"),
    ],
)
def test_bad_input_is_named(truth, scores, message):
    with pytest.raises(ValueError, match=message):
        roc.auroc(truth, scores)


def test_curves_enclose_the_areas():
    truth, scores = _case("informative", 4)
    curve = roc.roc_curve(truth, scores)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(roc.auroc(truth, scores), abs=1e-12)
    curve = roc.precision_recall_curve(truth, scores)
    assert (curve.x[0], curve.y[0], curve.x[-1]) == (0, 1, 1)
    assert np.sum(np.diff(curve.x) * curve.y[1:]) == pytest.approx(
        average_precision(truth, scores), abs=1e-12
    )


def test_youden_by_brute_force():
    truth, scores = _case("informative", 5)
    gain = {
        t: np.mean(scores[truth == 1] >= t) + np.mean(scores[truth == 0] < t)
        for t in np.unique(scores)
    }
    best = max(gain.values())
    assert roc.youden_threshold(truth, scores) == max(
        t for t, value in gain.items() if value == pytest.approx(best, abs=1e-12)
    )


def test_youden_of_useless_scores_is_an_observed_score():
    assert roc.youden_threshold([1, 0], [0.2, 0.7]) in (0.2, 0.7)


def test_operating_point_equals_scikit_learn_and_names_zero_over_zero():
    truth, scores = _case("informative", 6)
    groups = np.arange(truth.size) % 5
    cells = roc.confusion(truth[:, None], scores[:, None], [0.5], groups, 5)
    assert cells.shape == (4, 1, 5)
    found = {name: value[0] for name, value in roc.operating_point(cells.sum(axis=2)).items()}
    called = scores >= 0.5
    assert found == pytest.approx(
        {
            "precision": metrics.precision_score(truth, called),
            "recall": metrics.recall_score(truth, called),
            "specificity": metrics.recall_score(1 - truth, ~called),
            "f1": metrics.f1_score(truth, called),
        }
    )
    nothing = roc.operating_point(np.array([0.0, 0.0, 0.0, 3.0]))
    assert nothing["specificity"] == 1
    assert np.isnan([nothing[name] for name in ("precision", "recall", "f1")]).all()


def test_an_unchosen_threshold_is_undefined():
    cells = roc.confusion([[1, 1]], [[0.9, 0.9]], [0.5, np.nan], [0], 1)
    np.testing.assert_array_equal(
        cells[:, :, 0], [[1, np.nan], [0, np.nan], [0, np.nan], [0, np.nan]]
    )
