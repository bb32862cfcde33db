"""The table of gaps: to the central model of the same panel, in pairs, and where a row is first."""

import csv

import numpy as np
import pytest

from fl_jax.evaluation.internal_external import NAMES
from launch.sweep.tables.gaps import gaps

NOISE = np.random.default_rng(0).normal(0, 0.01, 40)


def runs(level, *, seeds=3, at=(0.8, 0.9), best=(0.8, 0.9), wobble=0.0):
    def one(seed):
        values = dict.fromkeys(NAMES, level + seed / 100 + wobble * (seed - 1))
        samples = {f"{name}_samples": (values[name] + NOISE).tolist() for name in NAMES}
        places = {"micro_at_a": at[0], "micro_at_b": at[1]}
        places |= {"best_micro_at_a": best[0], "best_micro_at_b": best[1]}
        return values | samples | places

    return {}, [one(seed) for seed in range(seeds)]


ROWS = {
    "group/near": runs(0.895, at=(0.85, 0.95)),
    "group/central": runs(0.9),
    "group/far": runs(0.8, at=(0.85, 0.7), wobble=0.001),
    "group/local": runs(0.7, best=(0.85, 0.8)),
    "layer/central": runs(0.6),
    "layer/one": runs(0.61),
}


def table(folder):
    lines = (folder / "table.md").read_text().splitlines()[2:]
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    return {first: rest for first, *rest in rows}


def test_gaps_are_to_the_panels_central_model(tmp_path):
    gaps()(ROWS, tmp_path)
    found = table(tmp_path)
    assert list(found) == [
        "group/central",
        "group/local",
        "group/near",
        "group/far",
        "layer/central",
        "layer/one",
    ]
    assert found["group/near"][2] == "-0.005 (-0.005 to -0.005)"
    assert found["layer/one"][2] == "+0.010 (+0.010 to +0.010)"
    assert [found[row][4] for row in ("group/near", "group/far")] == [
        "hold-out and own site",
        "nowhere",
    ]
    assert [found[row][5] for row in ("group/near", "group/far", "group/central")] == [
        "2 of 2",
        "1 of 2",
        "1 of 2",
    ]
    with (tmp_path / "table.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["row"] == "group/far"]
    assert [line["measure"] for line in lines] == ["holdout_micro", "holdout_less", "own_less"]
    assert float(lines[1]["mean"]) == pytest.approx(-0.1)
    assert float(lines[1]["between_seeds"]) == pytest.approx(0.001)


def test_one_seed_has_no_interval(tmp_path):
    gaps()({"central": runs(0.9, seeds=1), "other": runs(0.89, seeds=1)}, tmp_path)
    assert table(tmp_path)["other"] == ["1", "0.890", "-0.010", "-0.010", "", ""]


def test_a_loss_out_of_range():
    with pytest.raises(ValueError, match="allowed=0: must be above 0"):
        gaps(0)
