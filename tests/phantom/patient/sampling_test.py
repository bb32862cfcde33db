from typing import Any

import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.phantom.patient.parameters import (
    CLOTS,
    CUTS,
    EXTRA,
    PATCHES,
    RODS,
    SHEETS,
    SPOTS,
    SWELLINGS,
)
from fl_jax.phantom.patient.sampling import sample_patient

SLOTS = {
    "lens": EXTRA,
    "convexity": EXTRA,
    "falx": SHEETS,
    "tentorium": SHEETS,
    "blob": CLOTS,
    "sulcal": PATCHES,
}


def test_no_patient_needs_more_slots_than_there_are_and_bleeds_as_asked():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        subtypes = tuple(label for label in LABELS[1:] if rng.random() < 0.5)
        age, severity = float(rng.integers(1, 101)), float(rng.random())
        patient = sample_patient(rng, age=age, subtypes=subtypes, severity=severity)
        assert {lesion.kind for lesion in patient.lesions} == set(subtypes)
        forms = [lesion.form for lesion in patient.lesions]
        for slots in (("lens", "convexity"), ("falx", "tentorium"), ("blob",), ("sulcal",)):
            assert sum(form in slots for form in forms) <= SLOTS[slots[0]]
        assert len(patient.spots) <= SPOTS
        assert len(patient.swellings) <= SWELLINGS
        assert len(patient.cuts) <= CUTS
        assert len(patient.rods) <= RODS


def test_the_brain_shrinks_with_age():
    def mean(name: str, age: float) -> float:
        patients = (sample_patient(np.random.default_rng(s), age=age) for s in range(100))
        return float(np.mean([patient.numbers[name] for patient in patients]))

    for name in ("atrophy", "sulcus", "sylvian", "third", "vent"):
        assert mean(name, 85.0) > mean(name, 25.0), name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subtypes": ("any",)}, "subtypes="),
        ({"sex": "X"}, "sex='X'"),
        ({"age": 0.0}, "age=0.0"),
        ({"severity": 1.5}, "severity=1.5"),
    ],
)
def test_sample_patient_names_the_wrong_argument(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        sample_patient(np.random.default_rng(0), **{"age": 50.0, **wrong})
