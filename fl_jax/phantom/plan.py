"""The cohort's plan: who is scanned where, with what bleeding, and how each patient lies.

Bleeding, subtypes and scanners are stratified by quota and shuffled, so a small site cannot miss a subtype by
chance. Age, sex, severity and pose are random and independent of bleeding.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fl_jax.phantom.family import STANDARD, Family
from fl_jax.phantom.scanner.geometry import Geometry, Pose, plan_slices
from fl_jax.phantom.sites import Site, Unit


class Case(NamedTuple):
    """One planned patient.

    Attributes:
        site: name of the site.
        number: of the patient at the site, from 0.
        unit: scanner and dialect.
        age: years.
        sex: "F" or "M".
        subtypes: of bleeding; empty without bleeding.
        severity: 0 subtle to 1 large.
        key: seed of the patient's random stream.
    """

    site: str
    number: int
    unit: Unit
    age: int
    sex: str
    subtypes: tuple[str, ...]
    severity: float
    key: tuple[int, ...]


def plan_cohort(
    seed: int, sites: Sequence[Site], scale: float, family: Family = STANDARD
) -> list[Case]:
    """Plans all patients of a cohort; `scale` is a factor on their numbers."""
    cases = []
    for site in sites:
        # By name, not by position: a subset of sites keeps its patients.
        name = zlib.crc32(site.name.encode())
        count = max(4, round(site.patients * scale))
        rng = np.random.default_rng([seed, name, 0])
        groups = site.like or (site,)
        sizes = [len(part) for part in np.array_split(np.arange(count), len(groups))]
        people = [
            person
            for group, size in zip(groups, sizes, strict=True)
            for person in _plan_group(group, size, rng, family)
        ]
        order = rng.permutation(count)
        for number, position in enumerate(order):
            cases.append(Case(site.name, number, *people[position], key=(seed, name, 1, number)))
    return cases


def _plan_group(
    site: Site, count: int, rng: np.random.Generator, family: Family
) -> Iterator[tuple]:
    """Yields unit, age, sex, subtypes and severity of `count` patients of one site."""
    bleeding = int(count * site.prevalence + rng.random())
    if count > 1:
        bleeding = int(np.clip(bleeding, 1, count - 1))
    kinds = _quota([weight for _, weight in site.mix], bleeding, rng)
    subtypes = [site.mix[kind][0] for kind in kinds] + [()] * (count - bleeding)
    units = _quota([unit.share for unit in site.units], count, rng)
    mean, sd, low, high = site.age
    for chosen, unit in zip(subtypes, units, strict=True):
        age = int(np.clip(round(rng.normal(mean, sd)), low, high))
        sex = "F" if rng.random() < site.women else "M"
        yield site.units[unit], age, sex, chosen, float(rng.beta(*family.bleeding.severity))


def _quota(weights: Sequence[float], count: int, rng: np.random.Generator) -> np.ndarray:
    """A shuffled systematic sample of `count` indices in proportion to the weights."""
    edges = np.cumsum(weights) / np.sum(weights)
    points = (np.arange(count) + rng.random()) / max(count, 1)
    return rng.permutation(np.minimum(np.searchsorted(edges, points), len(edges) - 1))


def position(
    case: Case, head_height: float, rng: np.random.Generator, matrix: int, family: Family
) -> Geometry:
    """Positions a patient, whose vertex is `head_height` mm above the brain's centre, in the scanner."""
    scanner = case.unit.scanner
    tilt = float(np.round(rng.uniform(*scanner.tilt), 1))
    pose = Pose(
        yaw=float(rng.normal(0, 4.5)),
        pitch=float(0.6 * tilt + rng.normal(3, 4.5)),
        roll=float(rng.normal(0, 3.5)),
        shift=(float(rng.normal(0, 5)), float(rng.normal(4, 5))),
    )
    return plan_slices(
        pose=pose,
        tilt=tilt,
        field_of_view=float(np.round(rng.uniform(*scanner.field_of_view))),
        matrix=matrix,
        thickness=scanner.thickness,
        increment=scanner.increment,
        bottom=float(rng.normal(-57, 4)),
        top=head_height + float(rng.uniform(-14, -4)),  # the last slice shows no brain, or a little
    )
