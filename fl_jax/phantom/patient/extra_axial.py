"""Samples blood outside the brain: typical places, shapes, ages and companions.

Epidural: temporal or parietal, at a fracture, bounded by sutures. Subdural: over a hemisphere, along falx or
tentorium, chronic more often in the old. Subarachnoid: from an aneurysm (basal cisterns) or an injury (sulci)
(Osborn's Brain, 2nd ed., ch. 2-6).
"""

import numpy as np

from fl_jax.phantom.patient.grade import Grade
from fl_jax.phantom.patient.parameters import Lesion, Triple

Rng = np.random.Generator
EPIDURAL = {
    "temporal": ((70, 105), (-22, 10), (-64.0, 24.0)),
    "parietal": ((95, 130), (20, 50), (-78.0, 14.0)),
    "frontal": ((25, 60), (0, 40), (10.0, 200.0)),
    "occipital": ((140, 165), (-25, 0), (-200.0, -56.0)),
}
EPIDURAL_ENDS = {
    "middle fossa": ((70, 100), (-38, -15), (-64.0, 24.0)),
    "posterior fossa": ((145, 172), (-50, -25), (-200.0, -56.0)),
    "vertex": ((30, 140), (55, 75), (-80.0, 80.0)),
}
"""Ranges of azimuth and elevation, degrees, and the sutures' y, mm."""


def _direction(
    rng: Rng, side: float, azimuth: tuple[float, float], elevation: tuple[float, float]
) -> Triple:
    """A random unit vector; azimuth 0 is front, 90 side, 180 back; degrees."""
    a, r = np.deg2rad(rng.uniform(*azimuth)), np.deg2rad(rng.uniform(*elevation))
    return (float(side * np.sin(a) * np.cos(r)), float(np.cos(a) * np.cos(r)), float(np.sin(r)))


def epidural(rng: Rng, side: float, grade: Grade) -> list[Lesion]:
    """A lens under one bone."""
    thick = grade.between(grade.numbers.epidural_mm) * rng.uniform(0.8, 1.2)
    wide = float(np.clip(thick * rng.uniform(1.4, 2.0) + 10.0, 14.0, 48.0))
    place = EPIDURAL[str(rng.choice([*EPIDURAL], p=[0.5, 0.25, 0.17, 0.08]))]
    if rng.random() < grade.numbers.ends:
        place = EPIDURAL_ENDS[str(rng.choice([*EPIDURAL_ENDS]))]
    azimuth, elevation, limits = place
    centre = _direction(rng, side, azimuth, elevation)
    y = centre[1] * 89.0 - 18.0
    wide = min(wide, max(min(y - limits[0], limits[1] - y) + 14.0, 20.0))
    fresh = rng.random()
    return [
        Lesion(
            "epidural",
            "lens",
            centre,
            (wide, wide * rng.uniform(0.75, 1.0), thick),
            hu=grade.fresh_hu(rng),
            hu_low=float(rng.uniform(38, 52)),
            mix=0.25 if fresh < 0.25 else 0.0,
            mass=rng.uniform(0.75, 0.95),
            rough=0.3,
            limits=limits,
        )
    ]


def subdural(rng: Rng, side: float, grade: Grade, age: float) -> list[Lesion]:
    """A crescent over the convexity, or blood along falx or tentorium, or both."""
    numbers = grade.numbers
    old = rng.random() < np.interp(age, (45.0, 90.0), numbers.old)
    hu, low, mix = grade.fresh_hu(rng), float(rng.uniform(14, 30)), 0.0
    if old:
        kind = str(rng.choice(["isodense", "chronic", "mixed"], p=numbers.old_kinds))
        hu = {"isodense": rng.uniform(30, 44), "chronic": rng.uniform(14, 28), "mixed": hu}[kind]
        mix = float(rng.uniform(0.35, 0.65)) if kind == "mixed" else 0.0

    def crescent(centre: Triple, radii: Triple, mass: float) -> Lesion:
        return Lesion(
            "subdural", "convexity", centre, radii, float(hu), low, mix, mass=mass, rough=0.6
        )

    lesions = []
    film_only = rng.random() < numbers.films[0]
    if not film_only:
        thick = grade.between(numbers.subdural_mm) * rng.uniform(0.75, 1.25)
        thick += numbers.old_mm * (old and mix == 0.0)  # they grew slowly, or went unnoticed
        spread = 0.6 + 0.4 * min(1.0, 2.0 * grade.extent)
        radii = (spread * rng.uniform(45, 88), spread * rng.uniform(38, 66), thick)
        elevation = (8, 38)
        if rng.random() < numbers.ends:
            elevation = (-35, 0) if rng.random() < 0.5 else (42, 70)
        centre = _direction(rng, side, (60, 115), elevation)
        lesions.append(crescent(centre, radii, float(rng.uniform(0.55, 0.85))))
        if old and rng.random() < 0.25:
            radii = (rng.uniform(48, 80), rng.uniform(38, 60), thick * rng.uniform(0.4, 0.9))
            centre = _direction(rng, -side, (60, 110), (10, 35))
            lesions.append(crescent(centre, radii, 0.6))
    falx = rng.random() < 0.65
    if (film_only and falx) or rng.random() < numbers.films[1]:
        behind = rng.random() < 0.65
        y = rng.uniform(-80, -50) if behind else rng.uniform(30, 55)
        z = rng.uniform(15, 45) if behind else rng.uniform(15, 40)
        if rng.random() < numbers.ends:
            y, z = rng.uniform(-50, 20), rng.uniform(50, 68)
        lesions.append(_film(rng, grade, "falx", (side, y, z), (22, 42), (18, 32)))
    if (film_only and not falx) or rng.random() < 0.6 * numbers.films[1]:
        centre = (side * rng.uniform(20, 34), rng.uniform(-75, -50), 0.0)
        lesions.append(_film(rng, grade, "tentorium", centre, (16, 28), (18, 30)))
    return lesions


def _film(
    rng: Rng, grade: Grade, form: str, centre: Triple, long: tuple[int, int], wide: tuple[int, int]
) -> Lesion:
    thick = grade.between(grade.numbers.film_mm) * rng.uniform(0.75, 1.3)
    radii = (rng.uniform(*long), rng.uniform(*wide), thick)
    return Lesion("subdural", form, centre, radii, hu=grade.fresh_hu(rng))


def subarachnoid(rng: Rng, side: float, grade: Grade, injury: bool) -> list[Lesion]:
    """Blood in sulci (injury) or in the basal cisterns and fissures (aneurysm)."""
    numbers, extent = grade.numbers, grade.extent
    hu = grade.fresh_hu(rng) + 1.0

    def sulcal(centre: Triple, radii: Triple, amount: float) -> Lesion:
        return Lesion("subarachnoid", "sulcal", centre, radii, hu, amounts=(amount,))

    lesions = []
    if injury:
        fewest, most = numbers.sulci
        for _ in range(int(rng.integers(fewest, most + round(extent)))):
            lean = side if rng.random() < 0.7 else -side
            elevation = (-12, 75)
            if rng.random() < numbers.ends:
                elevation = (-45, -12) if rng.random() < 0.5 else (60, 85)
            d = _direction(rng, lean, (25, 150), elevation)
            centre = (d[0] * 58.0, d[1] * 76.0 - 18.0, d[2] * 62.0 + 2.0)
            r = grade.between(numbers.sulci_mm) * rng.uniform(0.8, 1.3)
            radii = (r, r * rng.uniform(1.0, 1.6), r)
            lesions.append(sulcal(centre, radii, grade.between(numbers.sulci_fill)))
        amounts = [0.0] * 5
        if rng.random() < 0.35:
            amounts[1 if side < 0 else 2] = 0.5 + 0.4 * extent
        if rng.random() < 0.25:
            amounts[4] = 0.6 + 0.4 * extent
        lesions.append(Lesion("subarachnoid", "cistern", hu=hu, amounts=tuple(amounts)))
        return lesions
    base = grade.between(numbers.cisterns_fill)
    share = rng.uniform(0.6, 1.0, size=5)
    share[rng.integers(0, 4)] = 1.0
    if rng.random() < 0.15:  # perimesencephalic
        share[:4] *= 0.1
        share[4], share[0] = 1.0, 0.6
    few = rng.random(5) > grade.between(numbers.cisterns)
    few[int(np.argmax(share))] = False
    share[few] *= 0.1
    filled = tuple(float(v * base) for v in share)
    lesions.append(Lesion("subarachnoid", "cistern", hu=hu, amounts=filled))
    if extent > 0.4 and rng.random() < 0.7:
        lesions.append(sulcal((side * 45.0, 10.0, 5.0), (25.0, 40.0, 30.0), float(0.8 * base)))
    return lesions
