import numpy as np
import pytest
from scipy import stats

from fl_jax.evaluation import bootstrap


def _mean(values):
    def statistic(weights):
        return (values @ weights / weights.sum(axis=0))[None]

    return statistic


def test_weights_are_resamples_of_patients():
    weights = bootstrap.patient_weights(5, resamples=400, seed=0)
    assert weights.shape == (5, 400)
    np.testing.assert_array_equal(weights.sum(axis=0), 5)
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_array_equal(weights, bootstrap.patient_weights(5, resamples=400, seed=0))
    assert (weights != bootstrap.patient_weights(5, resamples=400, seed=1)).any()


def test_strata_keep_their_size():
    weights = bootstrap.patient_weights(5, resamples=50, seed=0, strata=["b", "a", "b", "b", "a"])
    np.testing.assert_array_equal(weights[[1, 4]].sum(axis=0), 2)
    np.testing.assert_array_equal(weights[[0, 2, 3]].sum(axis=0), 3)


def test_quantiles_by_hand():
    # 101 resamples whose values are 0, 1, ..., 100: the 2.5 and 97.5 % quantiles are 2.5 and 97.5.
    resampled = bootstrap.Resampled(("x",), np.array([50.0]), np.arange(101.0)[None])
    assert bootstrap.intervals(resampled)["x"] == pytest.approx((50, 2.5, 97.5, 0, 101))
    assert bootstrap.intervals(resampled, 0.5)["x"] == pytest.approx((50, 25, 75, 0, 101))


@pytest.mark.parametrize(("missing", "defined"), [(0, True), (1, True), (50, True), (51, False)])
def test_undefined_resamples_are_counted_and_half_of_them_leave_no_interval(missing, defined):
    samples = np.linspace(0, 1, 100)
    samples[:missing] = np.nan
    found = bootstrap.intervals(bootstrap.Resampled(("x",), np.array([0.5]), samples[None]))["x"]
    assert found.undefined == missing
    assert np.isfinite([found.low, found.high]).all() == defined


def test_no_estimate_no_interval():
    resampled = bootstrap.Resampled(("x",), np.array([np.nan]), np.ones((1, 10)))
    assert np.isnan(bootstrap.intervals(resampled)["x"][:3]).all()


def test_bootstrap_of_a_mean_has_the_textbook_error():
    values = np.random.default_rng(0).normal(size=400)
    weights = bootstrap.patient_weights(400, resamples=2000, seed=0)
    resampled = bootstrap.bootstrap(_mean(values), ["mean"], weights)
    assert resampled.estimate[0] == pytest.approx(values.mean())
    assert resampled.samples.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_bca_equals_scipy_on_a_skewed_mean():
    values = np.random.default_rng(4).exponential(size=40)
    weights = bootstrap.patient_weights(40, resamples=40_000, seed=0)
    resampled = bootstrap.bootstrap(_mean(values), ["m"], weights)
    jackknife = bootstrap.bootstrap(_mean(values), ["m"], bootstrap.jackknife_weights(40))
    plain, found = (bootstrap.intervals(resampled, 0.9, x)["m"] for x in (None, jackknife))
    random = np.random.default_rng(1)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, confidence_level=0.9, method="BCa", rng=random
    ).confidence_interval
    assert found[1:3] == pytest.approx((theirs.low, theirs.high), abs=0.006)
    assert plain.high < found.high - 0.012  # the correction is larger than that tolerance


def test_blocks_of_patients_accelerate_as_patients_do():
    values = np.random.default_rng(4).exponential(size=3000)
    weights = bootstrap.jackknife_weights(3000, blocks=300)
    np.testing.assert_array_equal((weights == 0).sum(axis=0), 10)
    np.testing.assert_array_equal((weights == 0).sum(axis=1), 1)
    draws = bootstrap.patient_weights(3000, resamples=500, seed=0)
    resampled = bootstrap.bootstrap(_mean(values), ["m"], draws)
    one, many = (
        bootstrap.intervals(resampled, 0.95, bootstrap.bootstrap(_mean(values), ["m"], w))["m"]
        for w in (weights, bootstrap.jackknife_weights(3000, blocks=3000))
    )
    assert one[1:3] == pytest.approx(many[1:3], abs=0.002)


@pytest.mark.parametrize(
    ("samples", "jackknife", "defined"),
    [
        (np.arange(10.0), np.arange(5.0), True),
        (np.arange(10.0), np.full(5, np.nan), True),  # no acceleration to be had: bias alone
        (np.full(10, 4.5), np.full(5, 4.5), True),  # at its bound: width 0
        (np.arange(5.0, 15), np.arange(5.0), False),  # the estimate lies below all resamples
    ],
)
def test_bca_of_degenerate_resamples(samples, jackknife, defined):
    drawn, omitted = (
        bootstrap.Resampled(("x",), np.array([4.5]), rows[None]) for rows in (samples, jackknife)
    )
    found = bootstrap.intervals(drawn, 0.95, omitted)["x"]
    assert np.isfinite([found.low, found.high]).all() == defined


def test_coverage_is_right_for_patients_and_wrong_for_slices():
    """Patients share an effect: resampling patients covers the truth, resampling slices does not."""
    rng = np.random.default_rng(1)
    patients, slices, trials = 40, 10, 120
    covered = {"patient": 0, "slice": 0}
    for trial in range(trials):
        values = np.repeat(rng.normal(size=patients), slices) + 0.3 * rng.normal(
            size=patients * slices
        )
        for unit, data in (
            ("patient", values.reshape(patients, slices).mean(1)),
            ("slice", values),
        ):
            weights = bootstrap.patient_weights(data.size, resamples=300, seed=trial)
            found = bootstrap.intervals(bootstrap.bootstrap(_mean(data), ["m"], weights))["m"]
            covered[unit] += found.low <= 0 <= found.high
    assert covered["patient"] / trials > 0.88
    assert covered["slice"] / trials < 0.65


def test_a_paired_difference_is_taken_resample_by_resample():
    values = np.random.default_rng(0).normal(size=50)
    weights = bootstrap.patient_weights(50, resamples=200, seed=0)
    first = bootstrap.bootstrap(_mean(values + 0.25), ["m"], weights)
    second = bootstrap.bootstrap(_mean(values), ["m"], weights)
    found = bootstrap.intervals(bootstrap.difference(first, second))["m"]
    assert found[:3] == pytest.approx((0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap.patient_weights(3, resamples=0, seed=0), "resamples=0"),
        (lambda: bootstrap.jackknife_weights(3, blocks=1), "blocks=1"),
        (
            lambda: bootstrap.intervals(
                bootstrap.Resampled(("x",), np.zeros(1), np.zeros((1, 2))),
                0.95,
                bootstrap.Resampled(("y", "z"), np.zeros(2), np.zeros((2, 2))),
            ),
            "jackknife holds 2 statistics",
        ),
        (
            lambda: bootstrap.patient_weights(3, resamples=1, seed=0, strata=["a"]),
            r"strata has shape \(1,\)",
        ),
        (
            lambda: bootstrap.intervals(
                bootstrap.Resampled(("x",), np.zeros(1), np.zeros((1, 2))), 95
            ),
            "level=95",
        ),
        (
            lambda: bootstrap.bootstrap(
                lambda w: np.zeros((2, w.shape[1])), ["x"], np.ones((3, 4))
            ),
            r"statistic returned shape \(2, 1\)",
        ),
        (
            lambda: bootstrap.difference(
                bootstrap.Resampled(("x",), np.zeros(1), np.zeros((1, 2))),
                bootstrap.Resampled(("x",), np.zeros(1), np.zeros((1, 3))),
            ),
            "resample both alike",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_number_of_resamples_a_call_changes_no_number():
    values = np.random.default_rng(0).normal(size=9)
    weights = bootstrap.patient_weights(9, resamples=70, seed=0)
    sizes = []

    def statistic(weights):
        sizes.append(weights.shape[1])
        return (values[:, None] * weights).sum(axis=0)[None]

    one, *others = (
        bootstrap.bootstrap(statistic, ["x"], weights, chunk=chunk).samples
        for chunk in (bootstrap.CHUNK, 64, 256)
    )
    assert sizes == [1, 16, 16, 16, 16, 6, 1, 64, 6, 1, 70]
    for other in others:
        np.testing.assert_array_equal(other, one)
    assert [bootstrap.chunk_for(n) for n in (0, 20, 400, 10_000)] == [256, 256, 40, 16]
