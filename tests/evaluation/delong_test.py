"""DeLong's and Obuchowski's errors against published results, slow formulas and simulated patients."""

import csv
import os
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fl_jax.evaluation import delong

# The 43 complete records of DeLong et al. 1988, as the SAS/STAT 14.1 User's Guide lists them (LOGISTIC
# procedure, example 72.8 "Comparing Receiver Operating Characteristic Curves"): albumin, total protein, K-G
# score, outcome (0: benefits from surgery).
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def _exact(truth, many):
    """The areas and the covariance by the formulas of DeLong et al., over all pairs, in fractions."""
    half = Fraction(1, 2)

    def mean(values):
        return sum(values, Fraction(0)) / len(values)

    def products(rows, at, to):
        return sum(rows[at][i] * rows[to][i] for i in range(len(rows[0]))) / (len(rows[0]) - 1)

    areas, tens, ones = [], [], []
    for scores in many:
        x, y = ([s for s, t in zip(scores, truth, strict=True) if t == side] for side in (1, 0))
        psi = [[Fraction(a > b) + half * (a == b) for b in y] for a in x]
        areas.append(mean([mean(row) for row in psi]))
        tens.append([mean(row) - areas[-1] for row in psi])
        ones.append([mean(column) - areas[-1] for column in zip(*psi, strict=True)])
    m, n = len(tens[0]), len(ones[0])
    each = range(len(many))
    return areas, [
        [products(tens, r, s) / m + products(ones, r, s) / n for s in each] for r in each
    ]


def test_the_papers_example_in_exact_arithmetic():
    """Areas, errors, differences and the joint test of the paper's data, from its formulas in fractions."""
    albumin, protein, score, outcome = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    assert outcome.size == 43
    # Benefit is the event, which high scores and low proteins announce.
    many = [-albumin, score, -protein]
    found = [delong.area(outcome == 0, s) for s in many]
    areas, spread = _exact((outcome == 0).tolist(), [s.tolist() for s in many])
    assert [a.area for a in found] == pytest.approx([float(a) for a in areas], abs=1e-14)
    np.testing.assert_allclose(
        delong.covariance(found), [[float(v) for v in row] for row in spread], rtol=1e-12
    )
    for weights in ([1, -1, 0], [0, -1, 1]):
        estimate = float(sum(w * a for w, a in zip(weights, areas, strict=True)))
        variance = sum(weights[r] * weights[s] * spread[r][s] for r in range(3) for s in range(3))
        error = np.sqrt(float(variance))
        paired = delong.contrast(found, weights)
        reach = 1.959963984540054 * error
        p = 2 * stats.norm.cdf(-abs(estimate) / error)
        np.testing.assert_allclose(
            paired, [estimate, error, estimate - reach, estimate + reach, p], rtol=1e-10
        )
    event = outcome == 0
    for area, scores in zip(areas, many, strict=True):
        whitney = stats.mannwhitneyu(scores[event], scores[~event]).statistic
        assert float(area) == pytest.approx(whitney / (event.sum() * (~event).sum()), abs=1e-14)
        assert float(area) == pytest.approx(metrics.roc_auc_score(event, scores), abs=1e-14)


@pytest.mark.skipif(
    "FL_JAX_ASAH" not in os.environ, reason="FL_JAX_ASAH names pROC's aSAH data, written as CSV"
)
def test_what_proc_says_of_the_subarachnoid_hemorrhage_data():
    """What pROC's own tests expect of its data set `aSAH` (113 patients; GPL, so it is not shipped).

    tests/testthat of the repository xrobin/pROC: test-var.R, test-cov.R, test-ci.auc.R, test-roc.test.R. The
    paper (Robin et al., BMC Bioinformatics 2011; 12:77) analyses the same data.
    """
    with open(os.environ["FL_JAX_ASAH"], newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [row["outcome"] == "Poor" for row in rows]
    wfns, ndka, s100b = (
        delong.area(truth, [float(row[name]) for row in rows]) for name in ("wfns", "ndka", "s100b")
    )
    spread = delong.covariance([wfns, ndka, s100b])
    diagonal = [0.00146991470882363, 0.0031908105493913, 0.00266868245717244]
    beside = [-0.000532967856762438, 0.00119615567376754, -0.000756164938056579]
    np.testing.assert_allclose(np.diag(spread), diagonal, rtol=1e-10)
    np.testing.assert_allclose(spread[np.triu_indices(3, 1)], beside, rtol=1e-10)
    single = delong.contrast([ndka], [1])
    expected = [0.611957994579946, 0.501244999271703, 0.722670989888189]
    np.testing.assert_allclose([single.estimate, single.low, single.high], expected, rtol=1e-10)
    pairs = [
        (wfns, s100b, 2.20898359144091, 0.0104061769564846, 0.174214419249478, 0.0271757822291882),
        (wfns, ndka, 2.79777591868904, 0.0634011709339876, 0.3600405634833566, 0.00514557970691098),
        (
            ndka,
            s100b,
            -1.39077002573558,
            -0.2876917446341914,
            0.0488706064228094,
            0.164295175223054,
        ),
    ]
    for first, second, z, *limits in pairs:
        paired = delong.contrast([first, second], [1, -1])
        np.testing.assert_allclose(paired[2:], limits, rtol=1e-10)
        assert paired.estimate / paired.error == pytest.approx(z, rel=1e-10)


def _slow(truth, many, groups):
    """The formulas of Obuchowski 1997 over all pairs and patients: areas and their covariance."""
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    m, n = positives.size, negatives.size
    psi = [
        (s[positives, None] > s[negatives]) + 0.5 * (s[positives, None] == s[negatives])
        for s in many
    ]
    area = np.array([p.mean() for p in psi])
    patients = np.unique(groups)
    ten = np.zeros((len(many), patients.size))
    one = np.zeros((len(many), patients.size))
    for r, pairs in enumerate(psi):
        for k, patient in enumerate(patients):
            mine, others = groups[positives] == patient, groups[negatives] == patient
            ten[r, k] = pairs.mean(axis=1)[mine].sum() - mine.sum() * area[r]
            one[r, k] = pairs.mean(axis=0)[others].sum() - others.sum() * area[r]
    i10, i01, i = (
        np.unique(groups[positives]).size,
        np.unique(groups[negatives]).size,
        patients.size,
    )
    s10 = i10 / ((i10 - 1) * m) * ten @ ten.T
    s01 = i01 / ((i01 - 1) * n) * one @ one.T
    s11 = i / (i - 1) * ten @ one.T
    return area, s10 / m + s01 / n + (s11 + s11.T) / (m * n)


def _patients(seed, patients=12, slices=6, tied=True):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), slices)
    truth = rng.random(groups.size) < rng.random(patients)[groups]
    truth[[0, -1]], truth[[1, -2]] = True, False
    many = truth + rng.normal(size=(3, groups.size)) + rng.normal(size=(3, patients))[:, groups]
    return truth, np.round(many, 1) if tied else many, groups


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_equal_a_slow_transcription_of_the_formulas(seed, tied):
    truth, many, groups = _patients(seed, tied=tied)
    found = [delong.area(truth, scores, groups) for scores in many]
    areas, spread = _slow(truth, many, groups)
    np.testing.assert_allclose([a.area for a in found], areas, atol=1e-12)
    np.testing.assert_allclose(delong.covariance(found), spread, atol=1e-14)
    difference = delong.contrast(found, [1, -1, 0])
    assert difference.error == pytest.approx(
        np.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    )


def test_without_groups_it_is_delongs_covariance():
    truth, many, _ = _patients(7)
    found = delong.covariance([delong.area(truth, scores) for scores in many])
    ten = np.array(
        [[np.mean(s[~truth] < x) + np.mean(s[~truth] == x) / 2 for x in s[truth]] for s in many]
    )
    one = np.array(
        [[np.mean(s[truth] > y) + np.mean(s[truth] == y) / 2 for y in s[~truth]] for s in many]
    )
    textbook = np.cov(ten) / ten.shape[1] + np.cov(one) / one.shape[1]
    np.testing.assert_allclose(found, textbook, atol=1e-14)


@pytest.mark.parametrize("kind", ["random", "tied", "constant"])
@pytest.mark.parametrize("seed", range(3))
def test_areas_equal_scikit_learn(kind, seed):
    rng = np.random.default_rng(seed)
    truth = np.r_[0, 1, rng.random(200) < 0.3]
    scores = {"random": rng.random(202), "tied": rng.integers(0, 4, 202), "constant": np.ones(202)}
    found = delong.area(truth, scores[kind], rng.integers(0, 20, 202))
    assert found.area == pytest.approx(metrics.roc_auc_score(truth, scores[kind]), abs=1e-12)
    events, others = scores[kind][truth == 1], scores[kind][truth == 0]
    whitney = stats.mannwhitneyu(events, others).statistic / (events.size * others.size)
    assert found.area == pytest.approx(whitney, abs=1e-12)


def test_the_mean_over_labels_has_the_error_of_its_patients():
    """The labels of one patient go together: against the spread over repeated cohorts."""
    rng = np.random.default_rng(5)
    means, errors = [], []
    for _ in range(300):
        groups = np.repeat(np.arange(40), 5)
        truth = rng.random((2, 200)) < 0.4
        shared = 1.5 * rng.normal(size=40)[groups]
        areas = [delong.area(t, t + shared + rng.normal(size=200), groups) for t in truth]
        found = delong.contrast(areas, [0.5, 0.5])
        means.append(found.estimate)
        errors.append(found.error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.1)


def test_coverage_is_right_for_patients_and_wrong_for_slices():
    rng = np.random.default_rng(3)
    patients, slices, trials = 120, 12, 800
    groups = np.repeat(np.arange(patients), slices)
    effect, lift = 1.5, 2.2
    area = stats.norm.cdf(lift / np.sqrt(2 * (effect**2 + 1)))
    covered = {"clustered": 0, "logit": 0, "naive": 0, "paired": 0}
    for _ in range(trials):
        truth = (rng.random(groups.size) < 0.5) & (rng.random(patients) < 0.5)[groups]
        shared = effect * rng.normal(size=(3, patients))[:, groups]
        first = lift * truth + shared[0] + rng.normal(size=groups.size)
        # As good as the first, and alike in part.
        second = lift * truth + 0.8 * shared[0] + 0.6 * shared[1] + rng.normal(size=groups.size)
        one, two = (delong.area(truth, scores, groups) for scores in (first, second))
        intervals = {
            "clustered": delong.contrast([one], [1]),
            "logit": delong.contrast([one], [1], logit=True),
            "naive": delong.contrast([delong.area(truth, first)], [1]),
            "paired": delong.contrast([one, two], [1, -1]),
        }
        for name, found in intervals.items():
            covered[name] += found.low <= (0 if name == "paired" else area) <= found.high
    rates = {name: number / trials for name, number in covered.items()}
    for name in ("clustered", "logit", "paired"):
        assert 0.93 <= rates[name] <= 0.97, rates
    assert rates["naive"] < 0.75, rates


def test_what_is_undefined_is_nan_and_says_so():
    for truth in ([0, 0, 0], [1, 1, 1], []):
        found = delong.area(truth, np.arange(len(truth)))
        assert np.isnan(delong.contrast([found], [1])).all()
    lonely = delong.contrast([delong.area([1, 1, 0, 0], [1, 2, 0, 1], [0, 0, 1, 2])], [1])
    assert lonely.estimate == 0.875
    assert np.isnan(lonely[1:]).all()
    for scores, expected in (([0, 0, 1, 1], 1), ([3, 3, 3, 3], 0.5)):
        flat = delong.contrast([delong.area([0, 0, 1, 1], scores)], [1], logit=True)
        assert flat[:4] == pytest.approx((expected, 0, expected, expected))
    one = delong.area([0, 1, 0, 1, 1], [0.1, 0.4, 0.5, 0.3, 0.9])
    assert delong.contrast([one, one], [1, -1]) == pytest.approx((0, 0, 0, 0, 1))


def test_the_logit_interval_stays_inside():
    truth = np.r_[np.zeros(40), np.ones(40)]
    scores = np.r_[np.arange(40), np.arange(36, 76)]
    plain, inside = (delong.contrast([delong.area(truth, scores)], [1], logit=x) for x in (0, 1))
    assert plain.high > 1 > inside.high > inside.estimate == plain.estimate > inside.low


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: delong.area([0, 1], [1, 2, 3]), r"truth has shape \(2,\)"),
        (lambda: delong.area([0, 2], [1, 2]), "truth holds"),
        (lambda: delong.area([0, 1], [1, np.nan]), "scores holds 1 NaN"),
        (lambda: delong.area([0, 1], [1, 2], [0]), r"groups has shape \(1,\)"),
        (lambda: delong.covariance([]), r"areas are of \[\] patients"),
        (
            lambda: delong.covariance([delong.area([0, 1], [1, 2]), delong.area([0], [1])]),
            r"areas are of \[1, 2\] patients",
        ),
        (
            lambda: delong.contrast([delong.area([0, 1], [1, 2])], [1, 2]),
            r"weights has shape \(2,\)",
        ),
        (lambda: delong.contrast([delong.area([0, 1], [1, 2])], [1], level=95), "level=95"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
