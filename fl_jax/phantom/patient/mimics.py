"""Findings that are not bleeding, alike in patients who bleed and who do not.

Frequencies are round figures from radiology textbooks (Osborn's Brain, 2nd ed.) and from a study of
incidental findings (Vernooij et al., N Engl J Med 2007;357:1821): pineal calcified in most adults,
choroid plexus in most over 50, basal ganglia in a few percent, infarcts and small-vessel disease
from 50 on, masses and cysts in a few percent.
"""

from typing import Any

import numpy as np

from fl_jax.phantom.patient import trauma_and_surgery as trauma
from fl_jax.phantom.patient.parameters import CUTS, RODS, SPOTS, Lesion, Spot

Rng = np.random.Generator


def sample_mimics(
    rng: Rng,
    *,
    age: float,
    sex: str,
    numbers: dict[str, float],
    lesions: tuple[Lesion, ...],
    injury: bool,
) -> dict[str, Any]:
    """Incidental findings of a patient.

    Args:
        rng: source of all randomness.
        age: years.
        sex: "F" or "M".
        numbers: the body, see `body.sample_body`.
        lesions: the blood, which the ventricles must have room for.
        injury: whether an accident caused the bleeding.

    Returns:
        Fields of `patient.PatientParams`: numbers, spots, swellings, cuts, rods.
    """
    n = dict(numbers)
    n["leuko"] = float(np.clip(rng.normal((age - 62.0) / 45.0, 0.2), 0.0, 0.8))
    n["caps"] = float(rng.uniform(1.0, 7.0))
    if any(lesion.kind == "intraventricular" for lesion in lesions):
        n["occipital"] = min(n["occipital"], 0.5)
        n["vent"] += float(rng.uniform(0.3, 2.5))
    if any(lesion.form == "cistern" and max(lesion.amounts) > 0.3 for lesion in lesions):
        for name, more in (("cistern", 0.06), ("ambient", 0.6), ("sylvian", 0.3), ("fissure", 0.3)):
            n[name] += more
    spots = calcifications(rng, age) + strokes(rng, age) + masses(rng, age)
    if age > 40 and rng.random() < (0.10 if sex == "F" else 0.03):
        spots += [
            Spot(
                (s * rng.uniform(12, 20), 64.0, rng.uniform(5, 25)),
                (13.0, rng.uniform(2.5, 6), 18.0),
                1100.0,
                1.5,
                0.8,
                anywhere=True,
            )
            for s in (-1.0, 1.0)
        ]
    hurt = injury or (not lesions and rng.random() < 0.35)
    cuts, rods, opened = trauma.operations(rng, lesions)
    if rng.random() < (0.5 if opened else 0.06 if injury else 0.0):
        spots = air(rng) + spots
    return {
        "numbers": n,
        "spots": tuple(spots[:SPOTS]),
        "swellings": trauma.swellings(rng, 0.75 if hurt else 0.04),
        "cuts": tuple((trauma.fractures(rng, lesions) + cuts)[:CUTS]),
        "rods": tuple((rods + trauma.clutter(rng, age))[:RODS]),
    }


def calcifications(rng: Rng, age: float) -> list[Spot]:
    """Choroid plexus, pineal, falx, basal ganglia, carotid siphons, tentorium."""
    found = []
    if rng.random() < np.clip(0.05 + age * 0.011, 0.0, 0.85):
        size = rng.gamma(3.0, 0.65) + 0.7
        for s in (-1.0, 1.0):
            if rng.random() < 0.85:
                r = size * rng.uniform(0.5, 1.2)
                found.append(
                    Spot(
                        (s * rng.normal(24, 1), rng.normal(-43, 1.5), rng.normal(8, 3)),
                        (r, r * 1.3, r * 1.2),
                        float(rng.uniform(110, 420)),
                        2.0,
                        0.8,
                        anywhere=True,
                    )
                )
    if rng.random() < np.clip(age * 0.022, 0.0, 0.68):
        r = rng.uniform(1.2, 3.4)
        found.append(
            Spot(
                (rng.normal(0, 0.6), rng.normal(-33, 1), rng.normal(1.5, 1)),
                (r, r, r),
                float(rng.uniform(110, 400)),
                2.0,
                0.5,
                anywhere=True,
            )
        )
    if age > 35 and rng.random() < 0.16:
        found.append(
            Spot(
                (0.0, rng.uniform(-5, 52), rng.uniform(38, 62)),
                (rng.uniform(0.9, 2.0), rng.uniform(3, 14), rng.uniform(3, 10)),
                float(rng.uniform(120, 500)),
                1.5,
                0.6,
                anywhere=True,
            )
        )
    if age > 40 and rng.random() < 0.02 + 0.0016 * max(age - 40, 0):
        r, hu = rng.uniform(1.5, 4.0), rng.uniform(60, 150)
        found += [
            Spot(
                (s * rng.normal(19, 0.8), rng.normal(-2, 1), 0.0),
                (r, r * 1.7, r * 1.3),
                float(hu),
                3.0,
                0.9,
            )
            for s in (-1, 1)
        ]
    if age > 55 and rng.random() < 0.5:
        found += [
            Spot(
                (s * 11.5, rng.uniform(1, 6), rng.uniform(-28, -23)),
                (2.4, 3.5, 2.2),
                float(rng.uniform(150, 600)),
                1.5,
                0.6,
                anywhere=True,
            )
            for s in (-1, 1)
            if rng.random() < 0.7
        ]
    return found


def air(rng: Rng) -> list[Spot]:
    """Air under the skull after a fracture or an operation; it floats up, to the front."""
    found = []
    for _ in range(int(rng.integers(1, 4))):
        x, z = rng.normal(0, 16), rng.uniform(5, 45)
        y = 87.0 * np.sqrt(max(1.0 - (x / 69.0) ** 2 - ((z - 5.0) / 73.0) ** 2, 0.05)) - 20.0
        r = rng.uniform(1.5, 6.0)
        found.append(Spot((x, y, z), (r * 1.6, r, r), -900.0, 1.5, 0.5, anywhere=True))
    return found


def strokes(rng: Rng, age: float) -> list[Spot]:
    """Old and recent infarcts, lacunes."""
    found = []
    if rng.random() < np.clip((age - 45) / 160.0, 0.0, 0.25):
        side = rng.choice([-1.0, 1.0])
        places = (
            (46.0, 2.0, 22.0),
            (44.0, -28.0, 12.0),
            (26.0, -80.0, 8.0),
            (20.0, 42.0, 30.0),
            (30.0, -65.0, -42.0),
            (52.0, -15.0, 36.0),
        )
        x, y, z = places[int(rng.integers(len(places)))]
        size = rng.uniform(0.5, 1.5)
        recent = rng.random() < 0.3
        found.append(
            Spot(
                (side * x, y + rng.normal(0, 4), z + rng.normal(0, 4)),
                (13.0 * size, 16.0 * size, 13.0 * size),
                float(rng.uniform(20, 26) if recent else rng.uniform(8, 18)),
                4.0,
                1.0,
                0.85,
                mass=0.08 if recent else -0.1,
            )
        )
    if rng.random() < np.clip((age - 45) / 90.0, 0.0, 0.4):
        for _ in range(int(rng.integers(1, 4))):
            x, y, z = (
                (22.0, 6.0, 6.0),
                (13.0, -16.0, 8.0),
                (24.0, 10.0, 22.0),
                (26.0, -10.0, 24.0),
            )[int(rng.integers(4))]
            r = rng.uniform(1.8, 4.5)
            found.append(
                Spot(
                    (
                        rng.choice([-1, 1]) * x + rng.normal(0, 2),
                        y + rng.normal(0, 3),
                        z + rng.normal(0, 2),
                    ),
                    (r, r * 1.4, r),
                    float(rng.uniform(8, 16)),
                    2.0,
                    0.6,
                )
            )
    return found


def masses(rng: Rng, age: float) -> list[Spot]:
    """Arachnoid cyst, cavum, meningioma, tumour with edema: each rare."""
    found, side = [], float(rng.choice([-1.0, 1.0]))
    if rng.random() < 0.02:
        r = rng.uniform(8, 18)
        found.append(
            Spot((side * 46.0, 14.0, -24.0), (r, r, r), 5.0, 1.5, 0.2, anywhere=True, mass=0.3)
        )
    if rng.random() < 0.04:
        found.append(
            Spot((0.0, 14.0, 10.0), (rng.uniform(2, 4), 13.0, 6.0), 6.0, 1.5, 0.1, anywhere=True)
        )
    if rng.random() < 0.03:
        found.append(
            Spot(
                (0.0, -96.0, -50.0), (rng.uniform(10, 20), 10.0, 12.0), 6.0, 2.0, 0.2, anywhere=True
            )
        )
    if age > 40 and rng.random() < 0.025:
        a = rng.uniform(0.3, 2.6)
        r = rng.uniform(6, 17)
        found.append(
            Spot(
                (side * np.sin(a) * (68 - r), np.cos(a) * (87 - r) - 18.0, rng.uniform(10, 35)),
                (r, r, r),
                float(rng.uniform(44, 60)),
                2.0,
                0.3,
                anywhere=True,
                edema=float(rng.choice([0.0, 8.0])),
                mass=0.4,
            )
        )
    if age > 25 and rng.random() < 0.025:
        r = rng.uniform(5, 14)
        found.append(
            Spot(
                (side * rng.uniform(18, 42), rng.uniform(-70, 45), rng.uniform(0, 42)),
                (r, r, r),
                float(rng.uniform(28, 52)),
                4.0,
                0.8,
                0.9,
                edema=float(rng.uniform(8, 20)),
                mass=0.3,
            )
        )
    return found
