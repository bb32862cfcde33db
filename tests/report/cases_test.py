import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.evaluation import predictions
from fl_jax.report import cases


def test_cases_are_chosen_by_rule():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05])
    truth = np.array([0, 0, 1, 1, 1, 1, 1, 0, 0, 0])
    count = scores.size
    data = predictions.Predictions(
        np.array([f"i{n}" for n in range(count)]),
        np.array(["a", "a", "b", "c", "d", "e", "f", "g", "h", "h"]),
        np.full(count, "north"),
        np.full(count, "test"),
        np.repeat(truth[:, None], len(LABELS), axis=1).astype(np.uint8),
        np.repeat(scores[:, None], len(LABELS), axis=1),
    )
    chosen = cases.choose(data, np.full(len(LABELS), 0.5), per_outcome=2)
    assert [(case["outcome"], case["image"]) for case in chosen] == [
        ("true positive", "i2"),  # the spread from the highest to the lowest
        ("true positive", "i4"),
        ("false positive", "i0"),  # i1 is of the same patient
        ("false negative", "i6"),  # the most confident first
        ("false negative", "i5"),
        ("true negative", "i7"),
        ("true negative", "i8"),
    ]
    assert chosen[0]["truth"] == list(LABELS)
    assert chosen[3]["called"] == []
    assert cases.choose(None, None) == []
    assert cases.choose(data, np.full(len(LABELS), np.nan)) == []
