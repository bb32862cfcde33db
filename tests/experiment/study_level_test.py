"""Predictions of slices become predictions of studies, calibrated on validation studies."""

import numpy as np
import pytest
import slice_scores

from fl_jax.evaluation import noisy_or, patient_level
from fl_jax.evaluation.predictions import select
from fl_jax.experiment import study_level
from fl_jax.experiment.study_level import StudyNames, by_study


def _named(data, prefix):
    pairs = zip(data.image.tolist(), data.patient.tolist(), strict=True)
    return {image: f"{prefix}{name}" for image, name in pairs}


def test_a_study_is_scored_by_the_noisy_or_of_validation_studies():
    data = slice_scores.cohort(10, 6)
    seen = slice_scores.cohort(12, 6, seed=1, split="validation")
    # The two datasets name their images alike: each has a map of its own.
    names = StudyNames(_named(data, "s"), _named(seen, "v"))
    scores, validation, how = by_study(data, seen, names)
    fitted = noisy_or.fit(seen)
    assert fitted is not None
    expected = noisy_or.aggregate(data, fitted)
    np.testing.assert_allclose(scores.scores, expected.scores)
    assert scores.image.tolist() == [f"s{name}" for name in expected.image]
    assert validation.image.tolist() == sorted({f"v{name}" for name in seen.patient})
    assert how == study_level.CALIBRATED.format(12, "studies")
    # Without a map of the validation studies, a patient counts as one.
    again, unnamed, _ = by_study(data, seen, names._replace(validation={}))
    np.testing.assert_array_equal(again.scores, scores.scores)
    assert unnamed.image.tolist() == sorted({*seen.patient})


def test_without_validation_data_it_is_the_maximum():
    data = slice_scores.cohort(5, 4)
    nobody = select(data, np.zeros(data.image.size, bool))
    names = StudyNames(_named(data, "s"), {})
    scores, validation, how = by_study(data, nobody, names)
    np.testing.assert_array_equal(scores.scores, patient_level.aggregate(data).scores)
    assert (validation.image.size, how) == (0, study_level.LARGEST)


def test_an_image_without_a_study_is_named():
    data = slice_scores.cohort(3, 2)
    with pytest.raises(ValueError, match="--by_study: image 'ID_0' is not in the dataset"):
        by_study(data, data, StudyNames({}, {}))
