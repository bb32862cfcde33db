"""Samples a patient: body, the requested bleeding, incidental findings."""

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.phantom.patient import body, extra_axial, mimics
from fl_jax.phantom.patient.parameters import PatientParams


def sample_patient(
    rng: np.random.Generator,
    *,
    age: float,
    sex: str = "M",
    subtypes: tuple[str, ...] = (),
    severity: float = 0.5,
) -> PatientParams:
    """A patient with the wanted bleeding, everything else at random.

    Args:
        rng: source of all randomness.
        age: years, 1 to 100.
        sex: "F" or "M".
        subtypes: subset of `types.LABELS[1:]`, empty for a patient without bleeding.
        severity: 0 subtle to 1 large.

    Returns:
        The patient.

    Raises:
        ValueError: an unknown subtype, sex, age or severity.
    """
    unknown = set(subtypes) - set(LABELS[1:])
    if unknown:
        raise ValueError(f"subtypes={subtypes!r} has {sorted(unknown)}; choose from {LABELS[1:]}")
    if sex not in ("F", "M"):
        raise ValueError(f"sex={sex!r}; give 'F' or 'M'")
    if not 1.0 <= age <= 100.0:
        raise ValueError(f"age={age!r} years; give 1 to 100")
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity={severity!r}; give 0 (subtle) to 1 (large)")
    numbers, size = body.sample_body(rng, age=age, sex=sex)
    lesions, injury = extra_axial.sample_lesions(rng, age=age, subtypes=subtypes, severity=severity)
    found = mimics.sample_mimics(
        rng, age=age, sex=sex, numbers=numbers, lesions=lesions, injury=injury
    )
    seed = int(rng.integers(2**31))
    return PatientParams(float(age), sex, size, seed, lesions=lesions, **found)
