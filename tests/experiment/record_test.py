import json

import numpy as np

from fl_jax.experiment import record
from fl_jax.experiment.arms import Arm


def test_a_round_is_recorded_without_the_numbers_of_a_site_that_was_left_out():
    metrics = {
        "participating": np.array([True, True, False]),
        "accepted": np.array([True, False, False]),
        "examples": np.array([8, 4, np.nan]),
        "loss": np.array([0.5, np.nan, np.nan]),
        "dropped": np.zeros(3, bool),
        "refused": np.array([0, 2, np.nan]),
    }
    rows = np.arange(4)
    arm = Arm("federated", ("a", "b", "c"), (rows,) * 3, rows, np.ones((1, 3)), np.ones((1, 3)))
    line = record.of_round(arm, 1, metrics, 2.0, ())
    assert line["loss"] == 0.5
    assert line["site_loss"] == {"a": 0.5}
    assert line["left_out"] == {"b": "not finite"}
    assert line["participants"] == ["a", "b"]
    assert line["examples"] == 12
    metrics["accepted"][0] = False
    json.dumps(record.of_round(arm, 1, metrics, 2.0, ()), allow_nan=False)


def test_ties_go_to_the_lower_loss_and_undefined_loses():
    known = {"best_val_macro_auroc": 0.9, "best_val_loss": 0.5}
    assert record.better({"val_macro_auroc": 0.9, "val_loss": 0.4}, known)
    assert not record.better({"val_macro_auroc": 0.9, "val_loss": 0.5}, known)
    assert not record.better({"val_macro_auroc": None, "val_loss": 0.1}, known)
    assert record.better(
        {"val_macro_auroc": 0.5, "val_loss": 9}, known | {"best_val_macro_auroc": None}
    )
