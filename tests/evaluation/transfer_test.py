"""Statistics of one cohort against hand counts, and what is undefined."""

import numpy as np
import pytest

from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.transfer import NAMES, measure


def table(patient, truth, scores):
    """Predictions of the label `any`; the other labels have no positive."""
    count = len(patient)
    labels, values = np.zeros((count, 6), np.uint8), np.full((count, 6), 0.1)
    labels[:, 0], values[:, 0] = truth, scores
    text = np.array([str(n) for n in range(count)])
    site = np.full(count, "a")
    return Predictions(text, np.array(patient), site, site, labels, values)


PATIENT = ["p1", "p1", "p2", "p2", "p3", "p3", "p4", "p4"]
TRUTH = [1, 0, 1, 0, 0, 0, 0, 0]
SCORES = [0.9, 0.3, 0.5, 0.2, 0.6, 0.1, 0.3, 0.2]
AREA = np.array([100, 50, 100, 50, 98, 50, 60, 50.0])


def test_hand_counts():
    got = measure(table(PATIENT, TRUTH, SCORES), AREA, 0.3, resamples=50)
    value = dict(zip(NAMES, got.estimate, strict=True))
    assert value["any"] == value["macro"] == pytest.approx(11 / 12)  # 0.5 against 0.6 is lost
    assert value["patient"] == pytest.approx(3 / 4)
    assert value["pairs"] == pytest.approx(1 / 2)  # only the slice of 98 is of like area
    assert value["called"] == pytest.approx(3 / 6)
    assert value["micro"] > 0.9
    assert got.samples.shape == (len(NAMES), 50)
    low, high = np.nanquantile(got.samples, [0.02, 0.98], axis=1)
    assert (low <= got.estimate).all()
    assert (got.estimate <= high).all()


def test_resamples_keep_patients_whole():
    """With one patient a class, every resample that has both gives the same values but for pooled labels."""
    data = table(["p1"] * 3 + ["p2"] * 3, [1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.2, 0.1, 0.3, 0.4])
    got = measure(data, np.ones(6), 0.35, resamples=200)
    for name, samples in zip(NAMES, got.samples, strict=True):
        if name == "micro":
            continue
        assert np.unique(samples[~np.isnan(samples)]).size == 1, name


def test_what_is_undefined():
    one = measure(table(PATIENT, np.zeros(8), SCORES), AREA, 0.3, resamples=5)
    value = dict(zip(NAMES, one.estimate, strict=True))
    assert all(np.isnan(value[name]) for name in NAMES if name != "called")
    assert value["called"] == pytest.approx(5 / 8)
    far = measure(table(PATIENT, TRUTH, SCORES), AREA * np.arange(1, 9) ** 3, np.nan, resamples=5)
    value = dict(zip(NAMES, far.estimate, strict=True))
    assert np.isnan(value["pairs"])
    assert np.isnan(value["called"])
