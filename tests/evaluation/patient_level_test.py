import numpy as np
import pytest
from slice_scores import cohort

from fl_jax.evaluation import patient_level
from fl_jax.evaluation.delong_by_label import label_areas
from fl_jax.evaluation.predictions import select


@pytest.mark.parametrize("top", [1, 3, 100])
def test_patients_by_a_plain_loop(top):
    data = select(cohort(6, 5), np.random.default_rng(0).permutation(30)[:23])
    found = patient_level.aggregate(data, top=top)
    assert found.image.tolist() == found.patient.tolist() == sorted(set(data.patient.tolist()))
    for row, name in enumerate(found.patient):
        mine = data.patient == name
        np.testing.assert_array_equal(found.truth[row], data.truth[mine].max(axis=0))
        best = np.sort(data.scores[mine], axis=0)[::-1][:top].mean(axis=0)
        np.testing.assert_allclose(found.scores[row], best, rtol=1e-12)
        assert (found.site[row], found.split[row]) == (data.site[mine][0], "test")


def test_studies_are_units_of_their_own_and_stay_with_their_patient():
    data = cohort(6, 4)
    studies = np.char.add(data.patient, np.tile(["a", "a", "b", "b"], 6))
    found = patient_level.aggregate(data, studies)
    assert found.image.size == 12
    assert np.unique(found.patient).size == 6
    one = label_areas(found).patients["micro"].positive
    assert one.size == 6  # two studies of one patient are one cluster


def test_ties_and_a_single_slice():
    data = cohort(2, 1)._replace(scores=np.full((2, 6), 0.25))
    np.testing.assert_array_equal(patient_level.aggregate(data, top=2).scores, data.scores)


@pytest.mark.parametrize(
    ("units", "top", "message"),
    [
        (None, 0, "top=0"),
        (["a"], 1, r"units has shape \(1,\)"),
        (["a"] * 16, 1, "units holds 'a' with more than one patient"),
    ],
)
def test_bad_input_is_named(units, top, message):
    with pytest.raises(ValueError, match=message):
        patient_level.aggregate(cohort(2, 8), units, top=top)
