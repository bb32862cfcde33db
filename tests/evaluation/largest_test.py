import numpy as np
import pytest

from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.studies import largest

STUDY = np.array(["y", "x", "y"])


def made(**changes):
    fields = {
        "image": np.array(["a", "b", "c"]),
        "patient": np.array(["p", "q", "p"]),
        "site": np.array(["s", "s", "s"]),
        "split": np.array(["test", "holdout", "test"]),
        "truth": np.eye(3, 6, dtype=np.uint8),
        "scores": np.arange(18.0).reshape(3, 6)[::-1] / 20,
    }
    return Predictions(**fields | changes)


def test_a_study_has_what_its_slices_have():
    found = largest(made(), STUDY)
    assert found.image.tolist() == ["x", "y"]
    assert found.patient.tolist() == ["q", "p"]
    assert found.split.tolist() == ["holdout", "test"]
    np.testing.assert_array_equal(found.truth, [[0, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(found.scores, made().scores[[1, 0]])


@pytest.mark.parametrize("field", ["patient", "site", "split"])
def test_a_study_is_of_one_patient_site_and_split(field):
    other = np.array(["test", "holdout", "validation"])
    with pytest.raises(
        ValueError, match=f"study 'y' has images of {field} 'validation' and 'test'"
    ):
        largest(made(**{field: other}), STUDY)
