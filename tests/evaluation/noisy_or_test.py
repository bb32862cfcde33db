"""The calibrated score of a patient against its formula, and against patients drawn from a known one."""

import numpy as np
import pytest
import slice_scores
from scipy import optimize, special

from fl_jax.evaluation import noisy_or, patient_level, roc
from fl_jax.evaluation.calibration import calibration
from fl_jax.evaluation.predictions import Predictions, select


def _drawn(patients, *, beta, gamma, seed=0, slices=(4, 30)):
    """Patients whose truth is drawn from the formula; each slice has its patient's truth."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(*slices, patients)
    patient = np.repeat(np.arange(patients), sizes)
    z = rng.normal(-3, 1.5, (patient.size, 6)) + rng.normal(0, 1.5, (patients, 6))[patient]
    total = np.stack([np.bincount(patient, np.logaddexp(0, beta * c)) for c in z.T], axis=1)
    truth = (rng.random((patients, 6)) < 1 - np.exp(-np.asarray(gamma) * total)).astype(np.uint8)
    names = np.array([f"p{n:05d}" for n in patient])
    image = np.array([f"i{n}" for n in range(patient.size)])
    same = np.full(patient.size, "test")
    return Predictions(image, names, same, same, truth[patient], special.expit(z))


def test_the_score_is_the_product_over_slices():
    data = slice_scores.cohort(5, 4)
    gamma = np.array([0.2, 0.5, 1, 2, 3, 4])
    result = noisy_or.aggregate(data, noisy_or.NoisyOr(0.7, gamma, 9))
    assert result.image.tolist() == result.patient.tolist() == sorted({*data.patient})
    for row, name in enumerate(result.image):
        of = data.patient == name
        p = special.expit(0.7 * special.logit(data.scores[of]))
        assert result.scores[row] == pytest.approx(1 - np.prod((1 - p) ** gamma, axis=0))
        assert result.truth[row].tolist() == data.truth[of].max(axis=0).tolist()


def test_the_gradient_is_that_of_differences():
    rng = np.random.default_rng(0)
    z, targets = rng.normal(size=(7, 3)), rng.random((7, 3))

    def loss(x):
        total = np.logaddexp(0, np.exp(x[0]) * z)
        slope = special.expit(np.exp(x[0]) * z) * np.exp(x[0]) * z
        return noisy_or._loss(targets, np.exp(x[1:]), total, slope)

    x = np.array([0.3, -1, 0.2, 0.7])
    numeric = optimize.approx_fprime(x, lambda x: loss(x)[0], 1e-7)
    assert loss(x)[1] == pytest.approx(numeric, abs=1e-6)


def test_parameters_that_drew_the_patients_are_recovered():
    gamma = np.array([0.1, 0.2, 0.3, 0.5, 0.8, 1.2])
    fitted = noisy_or.fit(_drawn(1500, beta=1.6, gamma=gamma))
    assert fitted is not None
    assert fitted.units == 1500
    assert fitted.beta == pytest.approx(1.6, rel=0.1)
    assert fitted.gamma == pytest.approx(gamma, rel=0.25)


def test_new_patients_are_calibrated_where_the_maximum_is_not():
    gamma = np.full(6, 0.3)
    fitted = noisy_or.fit(_drawn(150, beta=1.0, gamma=gamma))
    assert fitted is not None
    data = _drawn(600, beta=1.0, gamma=gamma, seed=1)
    score, largest = noisy_or.aggregate(data, fitted), patient_level.aggregate(data)
    for label in range(6):
        truth = score.truth[:, label]
        assert score.scores[:, label].mean() == pytest.approx(truth.mean(), abs=0.06)
        ours = calibration(truth, score.scores[:, label])
        theirs = calibration(truth, largest.scores[:, label])
        assert ours.brier < theirs.brier
        assert roc.auroc(truth, score.scores[:, label]) > 0.6


def test_absent_and_separable_classes_have_finite_fits():
    data = slice_scores.cohort(20, 5)
    truth = data.truth.copy()
    truth[:, 1], truth[:, 2] = 0, 1
    scores = data.scores.copy()
    scores[:, 3] = np.where(truth[:, 3] == 1, 1.0, 0.0)  # certain and right
    data = data._replace(truth=truth, scores=scores)
    fitted = noisy_or.fit(data)
    assert fitted is not None
    result = noisy_or.aggregate(data, fitted).scores
    assert np.isfinite(result).all()
    assert ((result >= 0) & (result <= 1)).all()
    assert result[:, 1].max() < 0.3 < 0.7 < result[:, 2].min()
    assert noisy_or.fit(select(data, np.zeros(data.image.size, bool))) is None


def test_studies_may_take_the_place_of_patients():
    data = slice_scores.cohort(6, 4)
    study = np.array([f"{name}.{n % 2}" for n, name in enumerate(data.patient)])
    fitted = noisy_or.fit(data, study)
    assert fitted is not None
    assert fitted.units == 12
    assert noisy_or.aggregate(data, fitted, study).image.tolist() == sorted({*study})
    with pytest.raises(ValueError, match="with more than one patient"):
        noisy_or.fit(data, np.full(data.image.size, "one"))
