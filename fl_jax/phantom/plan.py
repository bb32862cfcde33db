"""The cohort's plan: who is scanned where, with what bleeding, and how each patient lies.

Bleeding, subtypes and scanners are stratified by quota and shuffled, so a small site cannot miss a subtype by
chance. Age, sex, severity and pose are random and independent of bleeding.
"""

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fl_jax.phantom.family import STANDARD, Family
from fl_jax.phantom.scanner import head_holder
from fl_jax.phantom.scanner.geometry import Geometry, Pose, plan_slices
from fl_jax.phantom.scanner.scan import Scanner
from fl_jax.phantom.sites import Site, Unit

FARTHEST = 20.0
"""Largest distance (mm) of the brain's centre from the image's, along x and y."""


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


def study_scanner(scanner: Scanner, rng: np.random.Generator, family: Family) -> Scanner:
    """The scanner as it is on the day of one study: its noise, HU level, kernel and head rest."""
    noise, calibration, rests = family.noise, family.calibration, family.surroundings
    holder = scanner.holder
    if rng.random() < rests.other_rest:
        holder = str(rng.choice(head_holder.STYLES))
    if rng.random() < rests.foam:
        holder = "foam"
    return dataclasses.replace(
        scanner,
        thickness=scanner.thickness * family.pose.thickness,
        noise=scanner.noise * rng.uniform(*noise.level),
        grain=scanner.grain * rng.uniform(*noise.grain),
        blur=scanner.blur * rng.uniform(*noise.blur),
        edge=scanner.edge + rng.uniform(*noise.edge),
        hardening=scanner.hardening * rng.uniform(*noise.hardening),
        iterative=max(scanner.iterative * noise.iterative, noise.everywhere),
        offset=scanner.offset * calibration.site
        + calibration.bias
        + rng.uniform(-calibration.offset, calibration.offset),
        gain=scanner.gain * calibration.site + rng.uniform(-calibration.gain, calibration.gain),
        holder=holder,
        strap=bool(rng.random() < rests.strap),
    )


def position(
    scanner: Scanner, head_height: float, rng: np.random.Generator, matrix: int, family: Family
) -> Geometry:
    """Positions a patient, whose vertex is `head_height` mm above the brain's centre, in the scanner."""
    numbers = family.pose
    tilt = float(np.round(rng.uniform(*scanner.tilt), 1))
    pose = Pose(
        yaw=float(np.clip(rng.normal(*numbers.yaw), -numbers.most_yaw, numbers.most_yaw)),
        pitch=float(0.6 * tilt + rng.normal(*numbers.pitch)),
        roll=float(rng.normal(0, numbers.roll)),
        shift=(
            float(np.clip(rng.normal(*numbers.shift_x), -FARTHEST, FARTHEST)),
            float(np.clip(rng.normal(*numbers.shift_y), -FARTHEST, FARTHEST)),
        ),
    )
    ends = np.add(scanner.field_of_view, numbers.field_of_view)
    return plan_slices(
        pose=pose,
        tilt=tilt,
        field_of_view=float(np.round(rng.uniform(*ends))),
        matrix=matrix,
        thickness=scanner.thickness,
        increment=scanner.increment,
        bottom=float(rng.uniform(*numbers.bottom)),
        top=head_height + float(rng.uniform(*numbers.top)),
    )
