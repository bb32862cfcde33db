"""Findings that are not bleeding, alike in patients who bleed and who do not."""

import numpy as np

from fl_jax.data.phantom.patient import Lesion, Spot


def sample_mimics(
    rng: np.random.Generator,
    *,
    age: float,
    numbers: dict[str, float],
    lesions: tuple[Lesion, ...],
    injury: bool,
) -> tuple[dict[str, float], tuple[Spot, ...]]:
    """Incidental findings of a patient.

    Args:
        rng: source of all randomness.
        age: years.
        numbers: the body, see `body.sample_body`.
        lesions: the blood, which the ventricles must have room for.
        injury: whether an accident brought the patient.

    Returns:
        The numbers with those of the mimics added, and the findings.
    """
    n = dict(numbers)
    n["leuko"] = float(np.clip(rng.normal((age - 62.0) / 45.0, 0.2), 0.0, 0.8))
    n["caps"] = float(rng.uniform(2.0, 8.0))
    if any(lesion.kind == "intraventricular" for lesion in lesions):
        n["occipital"] = min(n["occipital"], 0.5)
        n["vent"] += float(rng.uniform(0.5, 2.5))
    return n, ()
