"""Families of phantoms: the ranges from which anatomy, bleeding and scans are drawn.

A family is a set of numbers for the same drawing code. `STANDARD` is the demo's. `FORMER` keeps the numbers
of the cohort before it was compared with real heads, so that each group of changes can be tested alone.
`SHIFTED` differs from `STANDARD` in anatomy, bleeding and scanners, and is held out from training: it stands
in for a hospital that no model has seen.

    parse("standard")    parse("former, bleeding=standard")    parse("standard, pose=former, noise=shifted")
"""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Surface:
    """Where the brain ends: subarachnoid space over the convexity, sulci, partial volume at the skull."""


@dataclass(frozen=True)
class Bright:
    """Normal bright structures: dura, sinuses, arteries, orbital roofs, petrous ridges."""


@dataclass(frozen=True)
class Size:
    """Size of head and scalp."""


@dataclass(frozen=True)
class Density:
    """HU of grey matter, white matter and cerebrospinal fluid, from patient to patient."""


@dataclass(frozen=True)
class Bleeding:
    """Size, thickness and HU of bleeds."""


@dataclass(frozen=True)
class Noise:
    """Level, correlation and texture of the noise."""


@dataclass(frozen=True)
class Calibration:
    """Offset and gain of HU, from study to study."""


@dataclass(frozen=True)
class Pose:
    """Rotation, tilt, position of the head, field of view."""


@dataclass(frozen=True)
class Surroundings:
    """Head rest, lines on the head, traces of surgery."""


@dataclass(frozen=True)
class Family:
    """A family of phantoms; each field is one group of numbers."""

    surface: Surface = Surface()
    bright: Bright = Bright()
    size: Size = Size()
    density: Density = Density()
    bleeding: Bleeding = Bleeding()
    noise: Noise = Noise()
    calibration: Calibration = Calibration()
    pose: Pose = Pose()
    surroundings: Surroundings = Surroundings()


STANDARD = Family()
FORMER = Family()
SHIFTED = Family()
FAMILIES = {"standard": STANDARD, "former": FORMER, "shifted": SHIFTED}
GROUPS = tuple(field.name for field in dataclasses.fields(Family))


def parse(text: str) -> Family:
    """A family from text: a name, then `group=name` for groups that another family gives.

    Args:
        text: such as "standard" or "former, pose=standard".

    Raises:
        ValueError: an unknown family or group.
    """
    name, *swaps = (part.strip() for part in text.split(","))
    groups = {}
    for swap in swaps:
        group, equals, other = (part.strip() for part in swap.partition("="))
        if not equals or group not in GROUPS:
            raise ValueError(f"family={text!r}: {swap!r}: pass group=family of {', '.join(GROUPS)}")
        groups[group] = getattr(_named(other, text), group)
    return dataclasses.replace(_named(name, text), **groups)


def _named(name: str, text: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"family={text!r}: {name!r}: choose from {', '.join(FAMILIES)}")
    return FAMILIES[name]
