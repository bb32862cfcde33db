"""A synthetic patient is a frozen record of numbers; drawing it needs nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Triple = tuple[float, float, float]

EXTRA, SHEETS, CLOTS, PATCHES = 4, 3, 10, 4
"""Most collections of blood on the skull, along falx or tentorium, in tissue, and in sulci."""
SPOTS, SWELLINGS, CUTS, RODS = 14, 2, 2, 6
"""Most incidental findings, swollen patches of scalp, gaps in the skull, and foreign bodies."""


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
        centre: canonical coordinates (see `skull.canonical`), mm; a direction for a lens or convexity.
        radii: half axes, mm; (along, up, thick) for a form that lies on the skull.
        hu: HU of its dense part.
        hu_low: HU of its older or unclotted part.
        mix: fraction in [0, 1] of the older part.
        edema: width of the dark rim, mm.
        mass: displacement of the brain per mm of lesion, in [0, 1].
        rough: irregularity of the surface in [0, 1].
        amounts: fill in [0, 1]; "cistern": basal, Sylvian right, Sylvian left, fissure, around the
            midbrain; "layer": right, left, third, fourth ventricle; "sulcal": the one value.
        limits: coordinates y (mm) where a suture ends an epidural lens, (low, high).
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
    """An incidental finding of ellipsoidal shape inside the cavity, e.g. an old infarct or a calcification.

    Attributes:
        centre: canonical coordinates, mm.
        radii: half axes, mm.
        hu: HU at its heart.
        soft: width of its boundary, mm.
        rough: irregularity in [0, 1].
        cover: how much of the tissue it replaces, in [0, 1].
        anywhere: whether it also replaces fluid and dura; otherwise brain tissue only.
        edema: width of a dark rim, mm.
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
    """A swollen patch of scalp: where it is thickest (canonical mm), its extent, height (mm) and HU."""

    centre: Triple
    radii: Triple
    height: float
    hu: float


@dataclass(frozen=True)
class Cut:
    """A gap in the skull.

    Attributes:
        form: "hole" (burr hole), "flap" (the saw line of a craniotomy) or "fracture".
        centre: canonical coordinates, mm.
        radius: extent, mm.
        normal: direction across a fracture.
        width: of the gap, mm.
    """

    form: str
    centre: Triple
    radius: float
    normal: Triple = (0.0, 1.0, 0.0)
    width: float = 1.5


@dataclass(frozen=True)
class Rod:
    """A foreign body, a rod from a to b (canonical mm) of a radius (mm) and HU; `metal` throws streaks."""

    a: Triple
    b: Triple
    radius: float
    hu: float
    metal: bool


@dataclass(frozen=True)
class PatientParams:
    """Everything that `draw.draw` needs; lengths in mm, densities in HU.

    Attributes:
        age: years.
        sex: "F" or "M".
        size: scale of the head along x, y, z against the template.
        seed: of folds, texture and air cells.
        numbers: named anatomical numbers, see `body.sample_body`.
        spots: incidental findings, at most `SPOTS`.
        swellings: of the scalp, at most `SWELLINGS`.
        cuts: gaps in the skull, at most `CUTS`.
        rods: foreign bodies, at most `RODS`.
        lesions: collections of blood; empty in a normal patient.
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
