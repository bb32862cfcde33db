"""Incidental findings that can be mistaken for bleeding, equally frequent in bleeding and normal patients.

Frequencies are round figures from Osborn's Brain (2nd ed.) and Vernooij et al., N Engl J Med 2007;357:1821:
pineal calcified in most adults, choroid plexus in most over 50, basal ganglia in a few percent, infarcts and
small-vessel disease from 50 on, masses and cysts in a few percent.
"""

from typing import Any

import numpy as np

from fl_jax.phantom.family import Family
from fl_jax.phantom.patient import trauma_and_surgery as trauma
from fl_jax.phantom.patient.parameters import CUTS, RODS, SPOTS, SWELLINGS, Lesion, Spot

Rng = np.random.Generator
INFARCTS = (
    (46.0, 2.0, 22.0),
    (44.0, -28.0, 12.0),
    (26.0, -80.0, 8.0),
    (20.0, 42.0, 30.0),
    (30.0, -65.0, -42.0),
    (52.0, -15.0, 36.0),
)
LACUNES = ((22.0, 6.0, 6.0), (13.0, -16.0, 8.0), (24.0, 10.0, 22.0), (26.0, -10.0, 24.0))


def sample_mimics(
    rng: Rng,
    family: Family,
    *,
    age: float,
    sex: str,
    numbers: dict[str, float],
    lesions: tuple[Lesion, ...],
    injury: bool,
) -> dict[str, Any]:
    """Samples a patient's incidental findings and widens the spaces that blood fills.

    Args:
        numbers: from `body.sample_body`.
        injury: whether the bleeding is traumatic.

    Returns:
        The fields numbers, spots, swellings, cuts and rods of `PatientParams`.
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
    often = family.bleeding.mimics
    spots = clinoids(rng) if rng.random() < family.bright.clinoids else []
    spots += calcifications(rng, age, often) + infarcts(rng, age) + masses(rng, age, often)
    if age > 40 and rng.random() < (0.10 if sex == "F" else 0.03):  # hyperostosis frontalis
        for s in (-1.0, 1.0):
            centre = (s * rng.uniform(12, 20), 64.0, rng.uniform(5, 25))
            radii = (13.0, rng.uniform(2.5, 6), 18.0)
            spots.append(Spot(centre, radii, 1100.0, 1.5, 0.8, anywhere=True))
    around = family.surroundings
    after = trauma.operation(rng, around, lesions)
    spots = after.spots + spots
    if rng.random() < (0.5 if after.air else 0.06 if injury else 0.0):
        spots = air(rng) + spots
    injured, healthy = around.swollen
    swollen = injured if injury else 0.06 if lesions else healthy
    swellings = (*after.swellings, *trauma.swellings(rng, swollen))
    return {
        "numbers": n,
        "spots": tuple(spots[:SPOTS]),
        "swellings": swellings[:SWELLINGS],
        "cuts": tuple((trauma.fractures(rng, lesions) + after.cuts)[:CUTS]),
        "rods": tuple((after.rods + trauma.clutter(rng, around, age, injury))[:RODS]),
    }


def calcifications(rng: Rng, age: float, often: float) -> list[Spot]:
    """Choroid plexus, pineal, falx, basal ganglia, carotid siphons; `often` scales the rare ones."""
    spots = []
    if rng.random() < np.clip(0.05 + age * 0.011, 0.0, 0.85):
        size = rng.gamma(3.0, 0.65) + 0.7
        for s in (-1.0, 1.0):
            if rng.random() < 0.85:
                r = size * rng.uniform(0.5, 1.2)
                centre = (s * rng.normal(24, 1), rng.normal(-43, 1.5), rng.normal(8, 3))
                hu = float(rng.uniform(110, 420))
                spots.append(Spot(centre, (r, r * 1.3, r * 1.2), hu, 2.0, 0.8, anywhere=True))
    if rng.random() < np.clip(age * 0.022, 0.0, 0.68):
        r = rng.uniform(1.2, 3.4)
        centre = (rng.normal(0, 0.6), rng.normal(-33, 1), rng.normal(1.5, 1))
        hu = float(rng.uniform(110, 400))
        spots.append(Spot(centre, (r, r, r), hu, 2.0, 0.5, anywhere=True))
    if age > 35 and rng.random() < 0.16 * often:
        centre = (0.0, rng.uniform(-5, 52), rng.uniform(38, 62))
        radii = (rng.uniform(0.9, 2.0), rng.uniform(3, 14), rng.uniform(3, 10))
        hu = float(rng.uniform(120, 500))
        spots.append(Spot(centre, radii, hu, 1.5, 0.6, anywhere=True))
    if age > 40 and rng.random() < often * (0.02 + 0.0016 * (age - 40)):
        r, hu = rng.uniform(1.5, 4.0), float(rng.uniform(60, 150))
        for s in (-1, 1):
            centre = (s * rng.normal(19, 0.8), rng.normal(-2, 1), 0.0)
            spots.append(Spot(centre, (r, r * 1.7, r * 1.3), hu, 3.0, 0.9))
    if age > 50 and rng.random() < 0.6:
        for s in (-1, 1):
            if rng.random() < 0.8:
                centre = (s * rng.normal(11.5, 1.0), rng.uniform(-2, 8), rng.uniform(-28, -19))
                hu = float(rng.uniform(150, 600))
                spots.append(Spot(centre, (2.4, 3.5, 2.2), hu, 1.5, 0.6, anywhere=True))
    return spots


def clinoids(rng: Rng) -> list[Spot]:
    """Anterior clinoid processes and dorsum sellae: thin bone among the basal cisterns."""
    spots = []
    for s in (-1.0, 1.0):
        centre = (s * rng.normal(12.5, 1.5), rng.normal(11.0, 2.5), rng.uniform(-21.0, -14.0))
        radii = (rng.uniform(1.5, 3.2), rng.uniform(3.0, 6.0), rng.uniform(1.8, 3.5))
        spots.append(Spot(centre, radii, float(rng.uniform(300, 900)), 1.5, 0.6, anywhere=True))
    centre = (rng.normal(0.0, 0.8), rng.normal(-7.0, 1.5), rng.uniform(-22.0, -15.0))
    radii = (rng.uniform(5.0, 10.0), rng.uniform(1.3, 2.8), rng.uniform(2.0, 4.0))
    spots.append(Spot(centre, radii, float(rng.uniform(250, 800)), 1.5, 0.8, anywhere=True))
    return spots


def air(rng: Rng) -> list[Spot]:
    """Pneumocephalus after a fracture or an operation; air rises to the front."""
    spots = []
    for _ in range(int(rng.integers(1, 4))):
        x, z = rng.normal(0, 16), rng.uniform(5, 45)
        y = 87.0 * np.sqrt(max(1.0 - (x / 69.0) ** 2 - ((z - 5.0) / 73.0) ** 2, 0.05)) - 20.0
        r = rng.uniform(1.5, 6.0)
        spots.append(Spot((x, y, z), (r * 1.6, r, r), -900.0, 1.5, 0.5, anywhere=True))
    return spots


def infarcts(rng: Rng, age: float) -> list[Spot]:
    """Old and recent territorial infarcts, and lacunes."""
    spots = []
    if rng.random() < np.clip((age - 45) / 160.0, 0.0, 0.25):
        side = rng.choice([-1.0, 1.0])
        x, y, z = INFARCTS[int(rng.integers(len(INFARCTS)))]
        size = rng.uniform(0.5, 1.5)
        recent = rng.random() < 0.3
        centre = (side * x, y + rng.normal(0, 4), z + rng.normal(0, 4))
        radii = (13.0 * size, 16.0 * size, 13.0 * size)
        hu = float(rng.uniform(20, 26) if recent else rng.uniform(8, 18))
        spots.append(Spot(centre, radii, hu, 4.0, 1.0, 0.85, mass=0.08 if recent else -0.1))
    if rng.random() < np.clip((age - 45) / 90.0, 0.0, 0.4):
        for _ in range(int(rng.integers(1, 4))):
            x, y, z = LACUNES[int(rng.integers(4))]
            r = rng.uniform(1.8, 4.5)
            x = rng.choice([-1, 1]) * x + rng.normal(0, 2)
            centre = (x, y + rng.normal(0, 3), z + rng.normal(0, 2))
            spots.append(Spot(centre, (r, r * 1.4, r), float(rng.uniform(8, 16)), 2.0, 0.6))
    return spots


def masses(rng: Rng, age: float, often: float) -> list[Spot]:
    """Arachnoid cyst, cavum, retrocerebellar cyst, meningioma, tumours, colloid cyst: each rare."""
    spots, side = [], float(rng.choice([-1.0, 1.0]))
    if rng.random() < 0.02:
        r = rng.uniform(8, 18)
        centre = (side * 46.0, 14.0, -24.0)
        spots.append(Spot(centre, (r, r, r), 5.0, 1.5, 0.2, anywhere=True, mass=0.3))
    if rng.random() < 0.04:
        radii = (rng.uniform(2, 4), 13.0, 6.0)
        spots.append(Spot((0.0, 14.0, 10.0), radii, 6.0, 1.5, 0.1, anywhere=True))
    if rng.random() < 0.03:
        radii = (rng.uniform(10, 20), 10.0, 12.0)
        spots.append(Spot((0.0, -96.0, -50.0), radii, 6.0, 2.0, 0.2, anywhere=True))
    if age > 40 and rng.random() < 0.025 * often:
        a = rng.uniform(0.3, 2.6)
        r = rng.uniform(6, 17)
        x, y = side * np.sin(a) * (68 - r), np.cos(a) * (87 - r) - 18.0
        centre = (x, y, rng.uniform(10, 35))
        hu, rim = float(rng.uniform(44, 60)), float(rng.choice([0.0, 8.0]))
        spots.append(Spot(centre, (r, r, r), hu, 2.0, 0.3, anywhere=True, edema=rim, mass=0.4))
    if age > 25 and rng.random() < 0.025 * often:
        r = rng.uniform(5, 14)
        centre = (side * rng.uniform(18, 42), rng.uniform(-70, 45), rng.uniform(0, 42))
        hu, rim = float(rng.uniform(28, 52)), float(rng.uniform(8, 20))
        spots.append(Spot(centre, (r, r, r), hu, 4.0, 0.8, 0.9, edema=rim, mass=0.3))
    if age > 20 and rng.random() < 0.006 * often:
        r = rng.uniform(3, 7)
        spots.append(
            Spot((0.0, 6.0, 12.0), (r, r, r), float(rng.uniform(45, 68)), 1.5, 0.1, anywhere=True)
        )
    return spots
