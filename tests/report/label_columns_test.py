import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.evaluation.predictions import Predictions
from fl_jax.report.label_columns import label_columns


def test_micro_has_every_label_of_every_slice_with_its_patient():
    count = len(LABELS)
    truth = np.eye(3, count, dtype=np.uint8)
    scores = np.arange(3 * count).reshape(3, count) / 100
    names = np.array(["i", "j", "k"])
    data = Predictions(names, np.array(["b", "a", "b"]), names, names, truth, scores)
    columns = label_columns(data)
    assert list(columns) == [*LABELS, "micro"]
    assert columns["epidural"].truth.tolist() == [0, 1, 0]
    assert columns["any"].scores.tolist() == [0.0, count / 100, 2 * count / 100]
    assert columns["any"].patients.tolist() == [1, 0, 1]
    assert columns["micro"].patients.tolist() == [1] * count + [0] * count + [1] * count
    np.testing.assert_array_equal(columns["micro"].scores, scores.ravel())
