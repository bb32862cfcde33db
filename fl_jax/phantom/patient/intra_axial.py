"""Samples blood in the brain and its ventricles: typical places, sizes and companions.

Deep hypertensive hemorrhage (putamen, thalamus, pons, cerebellum), lobar amyloid hemorrhage in the old,
contusions at the frontal and temporal poles. Ventricular blood settles in the occipital horns and forms casts
if there is much (Osborn's Brain, 2nd ed., ch. 2 and 4).
"""

import numpy as np

from fl_jax.phantom.patient.grade import Grade
from fl_jax.phantom.patient.parameters import Lesion, triple

Rng = np.random.Generator
DEEP = {
    "putamen": ((25.0, 1.0, 3.0), (9.0, 15.0, 11.0)),
    "thalamus": ((14.0, -18.0, 8.0), (9.0, 11.0, 10.0)),
    "caudate": ((14.0, 12.0, 8.0), (7.0, 9.0, 9.0)),
    "pons": ((2.0, -28.0, -31.0), (8.0, 7.0, 8.0)),
    "cerebellum": ((22.0, -62.0, -38.0), (12.0, 12.0, 10.0)),
}
"""Centre and radii, canonical mm."""
LOBES = (
    (32.0, 38.0, 18.0),
    (28.0, 22.0, 42.0),
    (34.0, -12.0, 46.0),
    (36.0, -42.0, 38.0),
    (46.0, -28.0, -4.0),
    (44.0, -2.0, -24.0),
    (28.0, -76.0, 12.0),
    (26.0, -62.0, 34.0),
    (22.0, 50.0, 4.0),
)
POLES = (
    (20.0, 58.0, -8.0),
    (28.0, 50.0, -10.0),
    (14.0, 62.0, 2.0),
    (44.0, 12.0, -28.0),
    (54.0, -8.0, -24.0),
    (50.0, -22.0, -26.0),
    (36.0, 46.0, 14.0),
    (58.0, -30.0, -10.0),
)
HIGH_LOBES = ((20.0, -18.0, 60.0), (22.0, 22.0, 56.0), (20.0, -48.0, 54.0), (14.0, 2.0, 64.0))
LOW_LOBES = ((44.0, 0.0, -28.0), (48.0, -22.0, -22.0), (16.0, 40.0, -8.0), (42.0, -44.0, -12.0))
END_POLES = (
    (42.0, 2.0, -34.0),
    (50.0, -18.0, -34.0),
    (34.0, -12.0, -36.0),
    (16.0, 44.0, -13.0),
    (20.0, -10.0, 66.0),
    (16.0, 20.0, 62.0),
    (24.0, -45.0, 60.0),
    (30.0, -80.0, -40.0),
)


def parenchymal(
    rng: Rng, side: float, grade: Grade, age: float, injury: bool, deep: bool
) -> list[Lesion]:
    """Contusions after an injury, otherwise a deep or lobar hemorrhage."""
    if injury:
        return [
            _contusion(rng, side if rng.random() < 0.7 else -side, grade)
            for _ in range(int(rng.integers(1, 4 + round(2 * grade.extent))))
        ]
    low = rng.random() < grade.numbers.infratentorial
    lobar = not low and not deep and rng.random() < (0.55 if age > 65 else 0.36)
    grow = grade.between(grade.numbers.hematoma) * rng.uniform(0.85, 1.15)
    if lobar:
        lobes = LOBES
        if rng.random() < grade.numbers.ends:
            lobes = LOW_LOBES if rng.random() < 0.5 else HIGH_LOBES
        x, y, z = lobes[int(rng.integers(len(lobes)))]
        radii = (11.0, 14.0, 12.0)
    else:
        chances = [0.25, 0.5, 0.25, 0.0, 0.0] if deep else [0.55, 0.37, 0.08, 0.0, 0.0]
        if low:
            chances = [0.0, 0.0, 0.0, 0.3, 0.7]
        (x, y, z), radii = DEEP[str(rng.choice([*DEEP], p=chances))]
    centre = (side * x + rng.normal(0, 2), y + rng.normal(0, 4), z + rng.normal(0, 3))
    radii = triple(r * grow * rng.uniform(0.8, 1.2) for r in radii)
    hu, swirl = grade.fresh_hu(rng), rng.random() < 0.3
    main = Lesion(
        "intraparenchymal",
        "blob",
        centre,
        radii,
        hu=hu,
        hu_low=hu - rng.uniform(10, 22),
        mix=0.8 if swirl else 0.0,
        edema=float(rng.uniform(2.0, 6.0 + 10.0 * grade.extent)),
        mass=float(rng.uniform(0.32, 0.5)),
        rough=float(rng.uniform(0.4, 1.0)),
    )
    lesions = [main]
    if rng.random() < 0.4:
        shift = rng.normal(0, 1, 3)
        shift *= np.array(radii) * 0.8 / np.linalg.norm(shift)
        at = triple(a + s for a, s in zip(centre, shift, strict=True))
        small, rim = triple(r * rng.uniform(0.4, 0.7) for r in radii), main.edema
        lesions.append(
            Lesion("intraparenchymal", "blob", at, small, hu, edema=rim, mass=0.2, rough=0.8)
        )
    return lesions


def _contusion(rng: Rng, side: float, grade: Grade) -> Lesion:
    poles = END_POLES if rng.random() < grade.numbers.ends else POLES
    x, y, z = poles[int(rng.integers(len(poles)))]
    centre = (side * x + rng.normal(0, 3), y + rng.normal(0, 4), z + rng.normal(0, 3))
    r = grade.between(grade.numbers.contusion_mm) * rng.uniform(0.6, 1.4)
    return Lesion(
        "intraparenchymal",
        "blob",
        centre,
        (r, r * rng.uniform(0.8, 1.6), r * rng.uniform(0.7, 1.2)),
        hu=grade.fresh_hu(rng) - 5.0,
        hu_low=40.0,
        mix=float(rng.choice([0.0, 0.9])),
        edema=float(rng.uniform(1, 6)),
        mass=0.25,
        rough=1.0,
    )


def ventricular(rng: Rng, side: float, grade: Grade) -> list[Lesion]:
    """Blood levels in the occipital horns, casts if severe."""
    base = grade.between(grade.numbers.ventricle_fill) * rng.uniform(0.7, 1.3)
    near, far = base, base * rng.uniform(0.1, 0.9)
    amounts = (near, far) if side < 0 else (far, near)
    third = float(np.clip(rng.normal(grade.extent, 0.35), 0, 1)) if rng.random() < 0.6 else 0.0
    fourth = float(np.clip(rng.normal(grade.extent, 0.35), 0, 1)) if rng.random() < 0.5 else 0.0
    fill = (*(float(np.clip(a, 0.03, 1)) for a in amounts), third, fourth)
    return [Lesion("intraventricular", "layer", hu=grade.fresh_hu(rng), amounts=fill)]
