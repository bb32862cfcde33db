import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.evaluation import bootstrap_metrics
from fl_jax.evaluation.predictions import Predictions
from fl_jax.report import resampling


def _predictions(seed):
    rng = np.random.default_rng(seed)
    names = np.array([f"i{n}" for n in range(40)])
    patient, site = np.repeat([f"p{n}" for n in range(20)], 2), np.full(40, "a")
    truth = rng.integers(0, 2, (40, len(LABELS))).astype(np.uint8)
    return Predictions(names, patient, site, np.full(40, "test"), truth, rng.random(truth.shape))


def test_each_data_set_has_its_seed_and_a_model_without_predictions_is_undefined():
    first, second = _predictions(0), _predictions(1)
    thresholds = dict.fromkeys(("m", "n"), np.full(len(LABELS), 0.5))
    measured = resampling.resample_all(
        {"a": {"m": first, "n": second}, "b": {"m": first}}, thresholds, resamples=20, seed=3
    )
    for number, data in enumerate(measured):
        expected = bootstrap_metrics.measure(first, thresholds["m"], resamples=20, seed=(3, number))
        np.testing.assert_array_equal(measured[data]["m"].samples, expected.samples)
    assert not np.array_equal(measured["a"]["m"].samples, measured["b"]["m"].samples)
    assert np.isnan(measured["b"]["n"].estimate).all()
