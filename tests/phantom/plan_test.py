"""Quotas of the cohort's plan."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.phantom.family import FORMER, SHIFTED, STANDARD, Family
from fl_jax.phantom.plan import plan_cohort, position, study_scanner
from fl_jax.phantom.sites import HOLDOUT, SITES


def test_the_plan_meets_its_quotas_and_ignores_other_sites():
    cases = plan_cohort(0, SITES, 1.0)
    for site in SITES:
        mine = [case for case in cases if case.site == site.name]
        assert len(mine) == site.patients
        if not site.like:
            bleeding = sum(bool(case.subtypes) for case in mine)
            assert abs(bleeding - site.patients * site.prevalence) <= 1
            low, high = site.age[2:]
            assert all(low <= case.age <= high for case in mine)
            assert {c.unit.scanner.name for c in mine} == {u.scanner.name for u in site.units}
    kinds = Counter(kind for case in cases for kind in case.subtypes)
    assert set(kinds) == set(LABELS[1:])
    assert min(kinds.values()) >= 10
    held_out = {case.unit.dialect.name for case in cases if case.site == HOLDOUT}
    assert len(held_out) >= 5
    stroke = [case for case in cases if case.site == SITES[2].name]
    assert plan_cohort(0, SITES[2:3], 1.0) == stroke


def test_small_cohorts_have_bleeding_and_normal_patients_everywhere():
    for case_site in SITES[:-1]:
        mine = [c for c in plan_cohort(1, SITES, 0.01) if c.site == case_site.name]
        assert len(mine) == 4
        assert 0 < sum(bool(c.subtypes) for c in mine) < 4


def test_the_family_says_how_large_bleeds_are():
    def mean(family: Family) -> float:
        cases = plan_cohort(0, SITES, 0.5, family)
        return float(np.mean([case.severity for case in cases]))

    small = dataclasses.replace(STANDARD.bleeding, severity=(2.0, 6.0))
    assert mean(STANDARD) == pytest.approx(4.5 / 5.8, abs=0.04)
    assert mean(dataclasses.replace(STANDARD, bleeding=small)) == pytest.approx(0.25, abs=0.04)


def studies(family):
    rng = np.random.default_rng(0)
    units = [unit for site in SITES for unit in site.units]
    scanners = [study_scanner(unit.scanner, rng, family) for unit in units for _ in range(40)]
    return scanners, [position(scanner, 82.0, rng, 64, family) for scanner in scanners]


def test_studies_differ_as_the_family_says():
    scanners, geometries = studies(STANDARD)
    offsets = np.array([scanner.offset for scanner in scanners])
    assert 3.0 < offsets.std() < 5.0
    noise = np.percentile([scanner.noise for scanner in scanners], (5, 95))
    assert 1.5 < noise[0] < 2.5
    assert 4.0 < noise[1] < 7.0
    assert {scanner.holder for scanner in scanners} == {"cup", "plates", "table", "foam"}
    widths = [geometry.field_of_view for geometry in geometries]
    assert 210 <= min(widths) < 225
    assert 245 < max(widths) <= 260
    yaw = [np.rad2deg(np.arctan2(g.grid.step_x[1], g.grid.step_x[0])) for g in geometries]
    assert np.percentile(yaw, (10, 90)) == pytest.approx([-18.5, 18.5], abs=4.0)
    assert np.abs(yaw).max() < 35
    slices = [len(geometry.positions) for geometry in geometries]
    assert min(slices) >= 9
    assert 12 < np.mean(slices) < 15


def test_the_former_family_has_the_scanners_numbers():
    scanners, _ = studies(FORMER)
    assert {s.noise for s in scanners} == {u.scanner.noise for site in SITES for u in site.units}
    assert not any(scanner.iterative or scanner.strap for scanner in scanners)


def test_shifted_scanners_have_another_level_texture_and_thickness():
    scanners, _ = studies(SHIFTED)
    assert max(scanner.offset for scanner in scanners) < 0
    assert all(scanner.iterative > 0.4 for scanner in scanners)
    assert max(scanner.thickness for scanner in scanners) < 4.5
