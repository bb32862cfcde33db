"""Samples the traces of injury and surgery: swollen scalp, gaps in the skull, foreign bodies.

Silicone shunts have 200-300 HU; metal saturates a 12-bit scanner near 3000 HU.
"""

import numpy as np

from fl_jax.phantom.patient.parameters import Cut, Lesion, Rod, Swelling, Triple, triple

Rng = np.random.Generator


def surface(rng: Rng, out: float) -> Triple:
    """A random point `out` mm outside the inner table of the vault, canonical mm."""
    a, b = rng.uniform(0.0, np.pi * 2), np.deg2rad(rng.uniform(-15, 65))
    return (
        float(np.sin(a) * np.cos(b) * (69 + out)),
        float(np.cos(a) * np.cos(b) * (89 + out)) - 18.0,
        float(np.sin(b) * (73 + out)) + 5.0,
    )


def swellings(rng: Rng, chance: float) -> tuple[Swelling, ...]:
    """Swollen scalp with or without hematoma."""
    patches = []
    while len(patches) < 2 and rng.random() < chance:
        r = rng.uniform(14, 32)
        centre = surface(rng, 10.0)
        height, hu = float(rng.gamma(3.0, 1.8) + 1.5), float(rng.uniform(25, 68))
        patches.append(Swelling(centre, (r, r, r), height, hu))
        chance *= 0.35
    return tuple(patches)


def fractures(rng: Rng, lesions: tuple[Lesion, ...]) -> list[Cut]:
    """A fracture over most epidural hematomas."""
    cuts = []
    for lesion in lesions:
        if lesion.form == "lens" and rng.random() < 0.6:
            u = np.asarray(lesion.centre) / np.linalg.norm(lesion.centre)
            across = np.cross(u, rng.normal(size=3))
            across /= np.linalg.norm(across)
            centre = triple(u * [73, 93, 75] + [0, -18, 5])
            cuts.append(
                Cut("fracture", centre, rng.uniform(25, 50), triple(across), rng.uniform(0.6, 1.8))
            )
    return cuts


def operations(rng: Rng, lesions: tuple[Lesion, ...]) -> tuple[list[Cut], list[Rod], bool]:
    """Craniotomy, burr hole or drain, each rare; drains are more common with ventricular blood.

    Returns:
        Gaps in the skull, tubes, and whether air may have entered.
    """
    roll = rng.random()
    if roll < 0.025:
        return [Cut("flap", surface(rng, 3.0), rng.uniform(22, 38), width=1.6)], [], True
    if roll < 0.045:
        return [Cut("hole", surface(rng, 3.0), rng.uniform(5, 8))], [], True
    ventricular = any(lesion.kind == "intraventricular" for lesion in lesions)
    if roll < (0.15 if ventricular else 0.065):
        s = float(rng.choice([-1.0, 1.0]))
        tube = Rod((s * 6.0, 14.0, 12.0), (s * 30.0, 22.0, 82.0), 1.3, 260.0, False)
        return [Cut("hole", (s * 27.0, 21.0, 75.0), 6.0)], [tube], roll < 0.12
    return [], [], False


def clutter(rng: Rng, age: float) -> list[Rod]:
    """Dental fillings, an aneurysm clip, leads on the scalp."""
    rods = []
    if age > 20 and rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.choice([-1, 1]) * rng.uniform(20, 27), rng.uniform(34, 56)
            rods.append(Rod((x, y, -98.0), (x, y + 2.0, -94.0), 2.0, 3000.0, True))
    if rng.random() < 0.008:
        s = rng.choice([-1, 1])
        rods.append(Rod((s * 12.0, 6.0, -16.0), (s * 20.0, 9.0, -12.0), 1.2, 3000.0, True))
    if rng.random() < 0.03:
        for _ in range(int(rng.integers(2, 4))):
            x, y, z = surface(rng, 15.5)
            rods.append(Rod((x, y, z), (x * 1.01, y, z), 1.6, 2800.0, True))
    return rods
