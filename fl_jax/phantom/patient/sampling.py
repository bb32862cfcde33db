"""Samples a patient: body, the requested bleeding, incidental findings."""

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.phantom.family import STANDARD, Family
from fl_jax.phantom.patient import extra_axial, intra_axial
from fl_jax.phantom.patient.body import sample_body
from fl_jax.phantom.patient.grade import Grade
from fl_jax.phantom.patient.mimics import sample_mimics
from fl_jax.phantom.patient.parameters import Lesion, PatientParams


def sample_patient(
    rng: np.random.Generator,
    family: Family = STANDARD,
    *,
    age: float,
    sex: str = "M",
    subtypes: tuple[str, ...] = (),
    severity: float = 0.5,
) -> PatientParams:
    """Samples a patient with the requested bleeding.

    Args:
        rng: random generator.
        family: of phantoms.
        age: years, 1 to 100.
        sex: "F" or "M".
        subtypes: subset of `types.LABELS[1:]`; empty without bleeding.
        severity: 0 subtle to 1 large, see `family.Bleeding` for millimetres and HU.
    """
    unknown = set(subtypes) - set(LABELS[1:])
    if unknown:
        raise ValueError(f"subtypes={subtypes!r} has {sorted(unknown)}; choose from {LABELS[1:]}")
    if sex not in ("F", "M"):
        raise ValueError(f"sex={sex!r}; pass 'F' or 'M'")
    if not 1.0 <= age <= 100.0:
        raise ValueError(f"age={age!r} years; pass 1 to 100")
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity={severity!r}; pass 0 (subtle) to 1 (large)")
    numbers, size = sample_body(rng, family, age=age, sex=sex)
    lesions, injury = _sample_lesions(rng, family, age=age, subtypes=subtypes, severity=severity)
    incidental = sample_mimics(
        rng, family, age=age, sex=sex, numbers=numbers, lesions=lesions, injury=injury
    )
    bleeding = family.bleeding
    opened = Grade(bleeding, severity, False).between(bleeding.sulci_open_mm)
    incidental["numbers"] |= {
        "blood_edge": bleeding.edge,
        "blood_grain": bleeding.grain,
        "sulci_open": opened,
    }
    seed = int(rng.integers(2**31))
    return PatientParams(float(age), sex, size, seed, lesions=lesions, **incidental)


def _sample_lesions(
    rng: np.random.Generator,
    family: Family,
    *,
    age: float,
    subtypes: tuple[str, ...],
    severity: float,
) -> tuple[tuple[Lesion, ...], bool]:
    """The lesions, and whether they are traumatic."""
    wanted = set(subtypes)
    injury = bool(wanted & {"epidural", "subdural"}) or (
        "subarachnoid" in wanted and rng.random() < (0.75 if "intraparenchymal" in wanted else 0.5)
    )
    side = float(rng.choice([-1.0, 1.0]))
    bleeding = family.bleeding
    grade = Grade(bleeding, severity, bool(rng.random() < bleeding.dilute))
    lesions: list[Lesion] = []
    if "epidural" in wanted:
        lesions += extra_axial.epidural(rng, side, grade)
    if "subdural" in wanted:
        opposite = "epidural" in wanted
        lesions += extra_axial.subdural(rng, -side if opposite else side, grade, age)
    if "subarachnoid" in wanted:
        lesions += extra_axial.subarachnoid(rng, -side, grade, injury)
    deep = "intraventricular" in wanted and not injury
    if "intraparenchymal" in wanted:
        lesions += intra_axial.parenchymal(rng, side, grade, age, injury, deep)
    if "intraventricular" in wanted:
        lesions += intra_axial.ventricular(rng, side, grade)
    return tuple(lesions), injury
