"""Quotas of the cohort's plan."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.phantom.family import STANDARD, Family
from fl_jax.phantom.plan import plan_cohort
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

    large = dataclasses.replace(STANDARD.bleeding, severity=(6.0, 2.0))
    assert mean(STANDARD) == pytest.approx(0.5, abs=0.06)
    assert mean(dataclasses.replace(STANDARD, bleeding=large)) == pytest.approx(0.75, abs=0.04)
