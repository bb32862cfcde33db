"""Samples the traces of injury and surgery: swollen scalp, gaps in the skull, foreign bodies.

Silicone shunts have 200-300 HU; metal saturates a 12-bit scanner near 3000 HU.
"""

import itertools
from typing import NamedTuple

import numpy as np

from fl_jax.phantom.family import Surroundings
from fl_jax.phantom.patient.parameters import Cut, Lesion, Rod, Spot, Swelling, Triple, triple

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


class Operation(NamedTuple):
    """What an operation leaves behind; `air` tells whether air may have entered."""

    cuts: list[Cut]
    rods: list[Rod]
    swellings: list[Swelling]
    spots: list[Spot]
    air: bool


def operation(rng: Rng, numbers: Surroundings, lesions: tuple[Lesion, ...]) -> Operation:
    """Craniotomy, craniectomy, burr hole, drain or shunt; drains are more common with ventricular blood."""
    none = Operation([], [], [], [], False)
    ventricular = any(lesion.kind == "intraventricular" for lesion in lesions)
    if ventricular and rng.random() < 0.08:
        return _drain(rng, fresh=True)
    if rng.random() >= numbers.operated:
        return none
    kind = rng.choice(
        ["flap", "hole", "craniectomy", "drain", "shunt"], p=[0.4, 0.2, 0.1, 0.2, 0.1]
    )
    if kind in ("drain", "shunt"):
        return _drain(rng, fresh=bool(kind == "drain"))
    centre = surface(rng, 3.0)
    fresh = rng.random() < 0.6
    fluid = []
    if kind == "hole":
        radius = rng.uniform(5, 8)
        plate = [_plate(rng, centre, 0.0)] if rng.random() < numbers.plates else []
        cuts, swollen = [Cut("hole", centre, radius)], 14.0
    elif kind == "craniectomy":
        radius = rng.uniform(30, 46)
        cuts, plate, swollen = [Cut("hole", centre, radius)], [], radius
    else:
        radius = rng.uniform(20, 38)
        closed = rng.random() < numbers.plates
        plate = [_plate(rng, centre, radius) for _ in range(int(rng.integers(3, 6)) * closed)]
        cuts, swollen = [Cut("flap", centre, radius, width=1.6)], radius
        if rng.random() < 0.35:  # where a mass was
            r = rng.uniform(5, 14)
            fluid.append(Spot(_onto(centre, -r - 4.0), (r, r * 1.2, r), 8.0, 3.0, 0.8, 0.9))
    swellings = []
    if fresh:
        height, hu = float(rng.gamma(3.0, 1.6) + 1.0), float(rng.uniform(5, 50))
        swellings.append(Swelling(_onto(centre, 10.0), (swollen, swollen, swollen), height, hu))
    return Operation(cuts, plate, swellings, fluid, bool(fresh))


def _drain(rng: Rng, *, fresh: bool) -> Operation:
    """A tube from a burr hole into a frontal horn; a shunt goes on under the scalp, with a valve."""
    s = float(rng.choice([-1.0, 1.0]))
    top = (s * rng.uniform(24, 32), rng.uniform(14, 28), 78.0)
    tip = (s * rng.uniform(3, 9), rng.uniform(6, 16), rng.uniform(6, 14))
    rods = [Rod(tip, (top[0], top[1], 82.0), 1.3, 260.0, False)]
    cut = Cut("hole", (top[0], top[1], 74.0), 5.5)
    if fresh:
        return Operation([cut], rods, [], [], True)
    path = [_onto((s * 38.0, 0.0, 70.0), 10.0), _onto((s * 64.0, -30.0, 45.0), 10.0)]
    path.append(_onto((s * 70.0, -40.0, 0.0), 10.0))
    rods += [Rod(a, b, 1.4, 280.0, False) for a, b in itertools.pairwise(path)]
    rods.append(Rod(path[0], triple(np.add(path[0], (s * 3.0, -8.0, -2.0))), 2.2, 900.0, False))
    return Operation([cut], rods, [], [], False)


def _plate(rng: Rng, centre: Triple, radius: float) -> Rod:
    """A titanium plate across a saw line, `radius` mm from the flap's centre, or over a burr hole."""
    out = rng.normal(size=3)
    out -= np.dot(out, centre) / np.dot(centre, centre) * np.asarray(centre)
    out /= np.linalg.norm(out)
    ends = [_onto(triple(np.add(centre, out * (radius + far))), 8.5) for far in (-6.0, 6.0)]
    return Rod(ends[0], ends[1], 0.7, 2500.0, True)


def _onto(point: Triple, out: float) -> Triple:
    """The point of the same direction `out` mm outside the inner table of the vault."""
    radii = np.array([69.0, 89.0, 73.0]) + out
    v = (np.asarray(point) - (0.0, -18.0, 5.0)) / radii
    return triple(v / np.linalg.norm(v) * radii + (0.0, -18.0, 5.0))


def clutter(rng: Rng, numbers: Surroundings, age: float, injury: bool) -> list[Rod]:
    """Dental fillings, aneurysm clips; leads, tubes, hearing aids, hairpins and collars outside the skin."""
    rods = []
    if age > 20 and rng.random() < numbers.fillings:
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.choice([-1, 1]) * rng.uniform(20, 27), rng.uniform(34, 56)
            rods.append(Rod((x, y, -98.0), (x, y + 2.0, -94.0), 2.0, 3000.0, True))
    if rng.random() < 0.012:
        s = rng.choice([-1, 1])
        rods.append(Rod((s * 12.0, 6.0, -16.0), (s * 20.0, 9.0, -12.0), 1.2, 3000.0, True))
    if rng.random() < numbers.lines:
        rods += _line(rng, str(rng.choice(["lead", "tube", "pins", "aid"], p=[0.4, 0.3, 0.2, 0.1])))
    if rng.random() < numbers.collar * (3.0 if injury else 1.0):
        hu, z = float(rng.uniform(-700, -100)), rng.uniform(-62, -50)
        for s in (-1.0, 1.0):
            side, back = (s * 92.0, -20.0, z - 6.0), (s * 62.0, -112.0, z)
            rods += [Rod(side, back, 3.5, hu, False), Rod(back, (0.0, -128.0, z), 3.5, hu, False)]
    return rods


def _line(rng: Rng, kind: str) -> list[Rod]:
    """Leads of a monitor, an oxygen tube, hairpins, or a hearing aid."""
    s, away = float(rng.choice([-1.0, 1.0])), rng.uniform(16, 34)
    if kind == "aid":
        return [Rod((s * 86.0, -36.0, -30.0), (s * 85.0, -40.0, -14.0), 1.2, 1500.0, True)]
    if kind == "pins":
        at = [surface(rng, 15.5) for _ in range(int(rng.integers(1, 4)))]
        return [Rod(p, triple(np.add(p, rng.normal(0, 5, 3))), 0.8, 2800.0, True) for p in at]
    thin = kind == "lead"
    radius = rng.uniform(0.7, 1.3) if thin else rng.uniform(2.0, 4.0)
    hu = float(rng.uniform(200, 2500) if thin else rng.uniform(-300, 150))
    rods = []
    for _ in range(int(rng.integers(1, 4)) if thin else 1):
        a = rng.uniform(0.25, 0.95) * np.pi
        foot = (s * np.sin(a) * (72.0 + away), np.cos(a) * (92.0 + away) - 18.0, -70.0)
        top = tuple(np.add(foot, (rng.normal(0, 8), rng.normal(0, 12), rng.uniform(40, 150))))
        rods.append(Rod(foot, triple(top), radius, hu, False))
    return rods
