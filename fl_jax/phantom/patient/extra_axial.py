"""Samples blood outside the brain: typical places, shapes, ages and companions.

Epidural: temporal or parietal, at a fracture, bounded by sutures. Subdural: over a hemisphere, along falx or
tentorium, chronic more often in the old. Subarachnoid: from an aneurysm (basal cisterns) or an injury (sulci)
(Osborn's Brain, 2nd ed., ch. 2-6).
"""

import numpy as np

from fl_jax.phantom.patient.intra_axial import fresh_hu
from fl_jax.phantom.patient.parameters import Lesion, Triple

Rng = np.random.Generator
EPIDURAL = {
    "temporal": ((70, 105), (-22, 10), (-64.0, 24.0)),
    "parietal": ((95, 130), (20, 50), (-78.0, 14.0)),
    "frontal": ((25, 60), (0, 40), (10.0, 200.0)),
    "occipital": ((140, 165), (-25, 0), (-200.0, -56.0)),
}
"""Ranges of azimuth and elevation, degrees, and the sutures' y, mm."""


def _direction(
    rng: Rng, side: float, azimuth: tuple[float, float], elevation: tuple[float, float]
) -> Triple:
    """A random unit vector; azimuth 0 is front, 90 side, 180 back; degrees."""
    a, r = np.deg2rad(rng.uniform(*azimuth)), np.deg2rad(rng.uniform(*elevation))
    return (float(side * np.sin(a) * np.cos(r)), float(np.cos(a) * np.cos(r)), float(np.sin(r)))


def epidural(rng: Rng, side: float, severity: float) -> list[Lesion]:
    """A lens under one bone."""
    thick = (5.0 + 24.0 * severity) * rng.uniform(0.8, 1.2)
    wide = float(np.clip(thick * rng.uniform(1.4, 2.0) + 10.0, 16.0, 48.0))
    place = rng.choice([*EPIDURAL], p=[0.5, 0.25, 0.17, 0.08])
    azimuth, elevation, limits = EPIDURAL[str(place)]
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
            hu=fresh_hu(rng),
            hu_low=float(rng.uniform(38, 52)),
            mix=0.25 if fresh < 0.25 else 0.0,
            mass=rng.uniform(0.75, 0.95),
            rough=0.3,
            limits=limits,
        )
    ]


def subdural(rng: Rng, side: float, severity: float, age: float) -> list[Lesion]:
    """A crescent over the convexity, or blood along falx or tentorium, or both."""
    old = rng.random() < np.clip((age - 40.0) / 90.0, 0.03, 0.4)
    hu, low, mix = fresh_hu(rng), float(rng.uniform(14, 30)), 0.0
    if old:
        kind = str(rng.choice(["subacute", "chronic", "mixed"], p=[0.3, 0.3, 0.4]))
        subacute, chronic = rng.uniform(34, 46), rng.uniform(16, 28)
        hu = {"subacute": subacute, "chronic": chronic, "mixed": hu}[kind]
        mix = float(rng.uniform(0.35, 0.65)) if kind == "mixed" else 0.0

    def crescent(centre: Triple, radii: Triple, mass: float) -> Lesion:
        return Lesion(
            "subdural", "convexity", centre, radii, float(hu), low, mix, mass=mass, rough=0.6
        )

    lesions = []
    sheet_only = rng.random() < 0.06
    if not sheet_only:
        thick = (1.8 + 16.5 * severity) * rng.uniform(0.75, 1.25)
        spread = 0.6 + 0.4 * min(1.0, 2.0 * severity)
        radii = (spread * rng.uniform(45, 88), spread * rng.uniform(38, 66), thick)
        centre = _direction(rng, side, (60, 115), (8, 38))
        lesions.append(crescent(centre, radii, float(rng.uniform(0.55, 0.85))))
        if old and rng.random() < 0.25:
            radii = (rng.uniform(48, 80), rng.uniform(38, 60), thick * rng.uniform(0.4, 0.9))
            centre = _direction(rng, -side, (60, 110), (10, 35))
            lesions.append(crescent(centre, radii, 0.6))
    if sheet_only or rng.random() < 0.2:
        behind = rng.random() < 0.65
        y = rng.uniform(-80, -50) if behind else rng.uniform(30, 55)
        z = rng.uniform(15, 45) if behind else rng.uniform(15, 40)
        thick = (2.0, 3.0 + 4.0 * severity)
        radii = (rng.uniform(22, 42), rng.uniform(18, 32), rng.uniform(*thick))
        lesions.append(Lesion("subdural", "falx", (side, y, z), radii, hu=fresh_hu(rng)))
    if rng.random() < (0.5 if sheet_only else 0.12):
        centre = (side * rng.uniform(20, 34), rng.uniform(-75, -50), 0.0)
        thick = (2.5, 3.5 + 3.0 * severity)
        radii = (rng.uniform(16, 28), rng.uniform(18, 30), rng.uniform(*thick))
        lesions.append(Lesion("subdural", "tentorium", centre, radii, hu=fresh_hu(rng)))
    return lesions


def subarachnoid(rng: Rng, side: float, severity: float, injury: bool) -> list[Lesion]:
    """Blood in sulci (injury) or in the basal cisterns and fissures (aneurysm)."""
    hu = float(rng.uniform(58, 70) + 8 * severity)

    def sulcal(centre: Triple, radii: Triple, amount: float) -> Lesion:
        return Lesion("subarachnoid", "sulcal", centre, radii, hu, amounts=(amount,))

    lesions = []
    if injury:
        for _ in range(int(rng.integers(2, 4 + round(severity)))):
            lean = side if rng.random() < 0.7 else -side
            d = _direction(rng, lean, (25, 150), (-12, 75))
            centre = (d[0] * 58.0, d[1] * 76.0 - 18.0, d[2] * 62.0 + 2.0)
            r = (10.0 + 16.0 * severity) * rng.uniform(0.8, 1.3)
            radii = (r, r * rng.uniform(1.0, 1.6), r)
            amount = float(np.clip(0.7 + 0.5 * severity * rng.random(), 0, 1))
            lesions.append(sulcal(centre, radii, amount))
        amounts = [0.0] * 5
        if rng.random() < 0.35:
            amounts[1 if side < 0 else 2] = 0.5 + 0.4 * severity
        if rng.random() < 0.25:
            amounts[4] = 0.6 + 0.4 * severity
        lesions.append(Lesion("subarachnoid", "cistern", hu=hu, amounts=tuple(amounts)))
        return lesions
    base = 0.8 + 0.2 * severity
    share = rng.uniform(0.6, 1.0, size=5)
    share[rng.integers(0, 4)] = 1.0
    if rng.random() < 0.15:  # perimesencephalic
        share[:4] *= 0.1
        share[4], share[0] = 1.0, 0.6
    filled = tuple(float(v * base) for v in share)
    lesions.append(Lesion("subarachnoid", "cistern", hu=hu, amounts=filled))
    if severity > 0.4 and rng.random() < 0.7:
        lesions.append(sulcal((side * 45.0, 10.0, 5.0), (25.0, 40.0, 30.0), float(0.8 * base)))
    return lesions
