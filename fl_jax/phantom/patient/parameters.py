"""A synthetic patient as a frozen record of numbers, all that drawing needs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Triple = tuple[float, float, float]

EXTRA, SHEETS, CLOTS, PATCHES = 4, 3, 10, 4
"""Slots for collections of blood on the skull, along falx or tentorium, in tissue, and in sulci."""
SPOTS, SWELLINGS, CUTS, RODS = 18, 3, 4, 14
"""Slots for incidental findings, swollen scalp, gaps in the skull, and foreign bodies."""


def triple(values: Iterable[Any]) -> Triple:
    """Three values as a tuple of Python floats."""
    x, y, z = (float(v) for v in values)
    return x, y, z


@dataclass(frozen=True)
class Lesion:
    """One collection of blood.

    Attributes:
        kind: subtype, one of `types.LABELS[1:]`.
        form: "lens" or "convexity" (on the skull), "falx", "tentorium", "blob" (in tissue), "sulcal",
            "cistern", "layer" (in the ventricles).
        centre: canonical coordinates (see `skull.canonical`), mm; a direction for "lens" and "convexity".
        radii: half axes, mm; (along, up, thick) on the skull.
        hu: HU of the dense part.
        hu_low: HU of the older or unclotted part.
        mix: fraction in [0, 1] of the older part.
        edema: width of the dark rim, mm.
        mass: displacement of the brain per mm of lesion, in [0, 1].
        rough: irregularity of the surface, in [0, 1].
        amounts: fill in [0, 1]; "cistern": basal, Sylvian right, Sylvian left, fissure, ambient; "layer":
            right, left, third, fourth ventricle; "sulcal": one value.
        limits: y (mm) of the sutures that bound an epidural lens, (low, high).
    """

    kind: str
    form: str
    centre: Triple = (0.0, 0.0, 0.0)
    radii: Triple = (10.0, 10.0, 10.0)
    hu: float = 65.0
    hu_low: float = 65.0
    mix: float = 0.0
    edema: float = 0.0
    mass: float = 0.5
    rough: float = 0.2
    amounts: tuple[float, ...] = ()
    limits: tuple[float, float] = (-200.0, 200.0)


@dataclass(frozen=True)
class Spot:
    """An ellipsoidal incidental finding inside the cavity, such as an old infarct or a calcification.

    Attributes:
        centre: canonical coordinates, mm.
        radii: half axes, mm.
        hu: HU at the centre.
        soft: width of the boundary, mm.
        rough: irregularity, in [0, 1].
        cover: share of the tissue that it replaces, in [0, 1].
        anywhere: replaces fluid and dura too, rather than brain tissue only.
        edema: width of the dark rim, mm.
        mass: displacement of the brain per mm of lesion, in [0, 1].
    """

    centre: Triple
    radii: Triple
    hu: float
    soft: float = 2.0
    rough: float = 0.2
    cover: float = 1.0
    anywhere: bool = False
    edema: float = 0.0
    mass: float = 0.0


@dataclass(frozen=True)
class Swelling:
    """Swollen scalp: thickest point (canonical mm), extent (mm), height (mm) and HU."""

    centre: Triple
    radii: Triple
    height: float
    hu: float


@dataclass(frozen=True)
class Cut:
    """A gap in the skull.

    Attributes:
        form: "hole" (burr hole; of 30 mm and more, a craniectomy), "flap" (the saw line of a craniotomy) or
            "fracture".
        centre: canonical coordinates, mm.
        radius: extent, mm.
        normal: direction across a fracture.
        width: mm.
    """

    form: str
    centre: Triple
    radius: float
    normal: Triple = (0.0, 1.0, 0.0)
    width: float = 1.5


@dataclass(frozen=True)
class Rod:
    """A foreign body: a rod from a to b (canonical mm) with radius (mm) and HU; metal causes streaks."""

    a: Triple
    b: Triple
    radius: float
    hu: float
    metal: bool


@dataclass(frozen=True)
class PatientParams:
    """All that `head.draw_head` needs; lengths in mm, densities in HU.

    Attributes:
        age: years.
        sex: "F" or "M".
        size: scale of the head along x, y, z relative to the template.
        seed: of folds, texture and air cells.
        numbers: named anatomical numbers, see `body.sample_body`.
        spots: incidental findings, at most `SPOTS`.
        swellings: of the scalp, at most `SWELLINGS`.
        cuts: gaps in the skull, at most `CUTS`.
        rods: foreign bodies, at most `RODS`.
        lesions: collections of blood; empty without bleeding.
    """

    age: float
    sex: str
    size: Triple
    seed: int
    numbers: dict[str, float] = field(default_factory=dict)
    spots: tuple[Spot, ...] = ()
    swellings: tuple[Swelling, ...] = ()
    cuts: tuple[Cut, ...] = ()
    rods: tuple[Rod, ...] = ()
    lesions: tuple[Lesion, ...] = ()
