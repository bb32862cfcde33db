from typing import Any

import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.phantom.family import FAMILIES, FORMER, SHIFTED, STANDARD, Family
from fl_jax.phantom.patient.parameters import (
    CLOTS,
    CUTS,
    EXTRA,
    PATCHES,
    RODS,
    SHEETS,
    SPOTS,
    SWELLINGS,
    Lesion,
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
        family = tuple(FAMILIES.values())[seed % len(FAMILIES)]
        patient = sample_patient(rng, family, age=age, subtypes=subtypes, severity=severity)
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


def lesions(kind: str, severity: float, family: Family = STANDARD) -> list[Lesion]:
    return [
        lesion
        for seed in range(60)
        for lesion in sample_patient(
            np.random.default_rng(seed), family, age=40.0, subtypes=(kind,), severity=severity
        ).lesions
    ]


def test_severity_means_millimetres_and_hu():
    def thick(kind: str, form: str, severity: float) -> float:
        found = [one.radii[2] for one in lesions(kind, severity) if one.form == form]
        return float(np.median(found))

    for severity, subdural, epidural in ((0.1, 4.0, 11.1), (0.5, 9.8, 19.5), (0.9, 15.6, 27.9)):
        assert thick("subdural", "convexity", severity) == pytest.approx(subdural, rel=0.15)
        assert thick("epidural", "lens", severity) == pytest.approx(epidural, rel=0.15)
    hu = [np.median([one.hu for one in lesions("epidural", s)]) for s in (0.0, 1.0)]
    assert hu[0] == pytest.approx(60.0, abs=2.0)
    assert hu[1] == pytest.approx(65.0, abs=2.0)


def test_former_bleeds_are_denser_and_lie_in_the_middle():
    now, former = lesions("epidural", 0.8), lesions("epidural", 0.8, FORMER)
    assert np.mean([one.hu for one in former]) > np.mean([one.hu for one in now]) + 1.5
    height = [np.std([one.centre[2] for one in group]) for group in (now, former)]
    assert height[0] > 1.15 * height[1]


@pytest.mark.parametrize("subtypes", [(), ("subdural",)])
def test_traces_of_surgery_are_equally_frequent_with_and_without_bleeding(subtypes):
    def operated(family: Family) -> float:
        patients = (
            sample_patient(np.random.default_rng(s), family, age=50.0, subtypes=subtypes)
            for s in range(600)
        )
        return float(np.mean([any(c.form != "fracture" for c in p.cuts) for p in patients]))

    for family in (STANDARD, SHIFTED):
        assert operated(family) == pytest.approx(family.surroundings.operated, abs=0.04)


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
