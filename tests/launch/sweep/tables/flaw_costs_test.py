"""The table says what the runs say, with the interval of patients and seeds; the sweep writes it."""

import csv

import numpy as np
import pytest

from configs import as_published
from launch.sweep import sweep
from launch.sweep.tables import flaw_costs

SEEDS = (0, 1)
DRAWN = np.random.default_rng(0).normal(0.1, 0.02, 400).tolist()


def runs(settings, seed):
    found = {
        "published": 0.9,
        "right": 0.8 + seed / 100,
        "difference": 0.1 - seed / 100,
        "samples": DRAWN,
    }
    if settings["image_level_split"]:
        found |= {f"untouched_{name}": value for name, value in found.items()}
    if settings["naive_intervals"]:
        found |= {"coverage_published": 0.7, "coverage_right": 0.94, "samples": [None, *DRAWN[1:]]}
    return found


def test_a_line_counts_patients_and_seeds():
    settings = as_published.base().to_dict() | {"image_level_split": True}
    line = flaw_costs.costs("flaw", settings, [runs(settings, seed) for seed in (0, 1)])
    assert line["difference"] == pytest.approx(0.095)
    assert line["right"] == pytest.approx(0.805)
    patients = np.std(DRAWN, ddof=1)
    assert line["high"] - line["low"] > 2 * 1.96 * patients
    assert line["untouched_low"] == line["low"]
    alone = flaw_costs.costs("flaw", settings, [runs(settings, 0)])
    assert alone["low"] is None


def test_the_sweep_writes_it_and_goes_on(tmp_path):
    config, calls = as_published.get_config(), []
    config.seeds = SEEDS

    def runner(settings, seed):
        calls.append(seed)
        return runs(settings, seed)

    sweep.sweep(config, tmp_path, runner=runner)
    assert len(calls) == len(as_published.FLAWS) * len(SEEDS)
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["flaw"] for line in lines] == [*as_published.FLAWS.values()]
    assert [bool(line["untouched_difference"]) for line in lines] == [True, *[False] * 5]
    text = (tmp_path / "table.md").read_text()
    assert "| 0.900 | 0.805 | +0.095 (" in text
    assert "70.0% as published, 94.0% done right" in text
    assert (tmp_path / "figure.png").stat().st_size > 5000
    done = len(calls)
    sweep.sweep(config, tmp_path, runner=runner)
    assert len(calls) == done
