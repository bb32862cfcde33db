"""Tuning, repeats, resume and refusals with a runner of arithmetic; the programs on digits end to end."""

import json
import subprocess
import sys
import threading

import pytest
from ml_collections import ConfigDict

from configs import digits_attack, digits_skew
from launch.sweep import sweep

SEEDS = (0, 1, 2)


def make_config(**changes):
    return ConfigDict(
        {
            "runner": "arithmetic",
            "jobs": 2,
            "seeds": SEEDS,
            "base": {"gain": 1.0, "lr": 0.0, "shift": 0.0},
            "tuning": {
                "seeds": (10, 11),
                "grid": {"lr": (1, 2, 3)},
                "metric": "val",
                "highest": True,
            },
            "columns": {"test": "test"},
            "reference": "plain",
            "rows": {"plain": {}, "panel/plain": {}, "panel/better": {"gain": 2.0}},
        }
        | changes
    )


class Arithmetic:
    """val is best at lr = 2; test = gain * lr + seed + shift."""

    def __init__(self, allowed=None):
        self.calls, self.allowed, self._lock = [], allowed, threading.Lock()

    def __call__(self, settings, seed):
        with self._lock:
            if self.allowed is not None and len(self.calls) >= self.allowed:
                raise KeyboardInterrupt
            self.calls.append((settings["gain"], settings["lr"], seed))
        value = settings["gain"] * settings["lr"] + seed + settings["shift"]
        return {"val": -abs(settings["lr"] - 2), "test": value, "curve": [0.0, value]}


def find(results, panel, name):
    return next(r for r in results["rows"] if (r["panel"], r["name"]) == (panel, name))


def test_the_best_point_on_the_tuning_seeds_is_run_with_the_others(tmp_path):
    runner = Arithmetic()
    results = sweep.sweep(make_config(), tmp_path, runner=runner)
    assert len(runner.calls) == results["runs"] == 3 * (3 * 2 + 3)
    assert {(lr, seed) for _, lr, seed in runner.calls if seed < 10} == {(2, s) for s in SEEDS}
    better = find(results, "panel", "better")
    assert better["chosen"] == {"lr": 2}
    assert better["edge"] == []
    assert better["points"] == 3
    assert better["metrics"]["test"]["values"] == [4, 5, 6]
    assert better["metrics"]["test"]["mean"] == 5
    difference = better["metrics"]["test"]["difference"]
    assert (difference["mean"], difference["standard_error"]) == (2, 0)  # every seed gains 2
    assert "curve" not in better["metrics"]
    assert json.loads((tmp_path / "results.json").read_text())["rows"] == results["rows"]
    assert (
        "| better | 5.00 ± 0.58 | +2.0000 ± 0.0000 | lr=2 |" in (tmp_path / "table.md").read_text()
    )
    assert (tmp_path / "table.csv").read_text().count("\n") == 4
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_choice_at_the_edge_of_the_grid_is_marked(tmp_path):
    config = make_config(rows={"plain": {"grid": {"lr": (2, 4)}}})
    results = sweep.sweep(config, tmp_path, runner=Arithmetic())
    assert find(results, "", "plain")["edge"] == ["lr"]
    assert "lr=2*" in (tmp_path / "table.md").read_text()


def test_it_goes_on_where_it_was_cut_off(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(make_config(jobs=1), tmp_path, runner=Arithmetic(allowed=11))
    assert not (tmp_path / "results.json").exists()
    second, ticks = Arithmetic(), []
    resumed = sweep.sweep(make_config(), tmp_path, runner=second, tick=lambda *t: ticks.append(t))
    assert len(second.calls) == 27 - 11
    assert ticks[-1] == (16, 16)
    fresh = sweep.sweep(make_config(), tmp_path / "fresh", runner=Arithmetic())
    for row, other in zip(resumed["rows"], fresh["rows"], strict=True):
        assert row["metrics"] == other["metrics"]
    third = Arithmetic()
    sweep.sweep(make_config(), tmp_path, runner=third)
    assert third.calls == []


def test_seeds_rows_and_points_may_be_added(tmp_path):
    sweep.sweep(make_config(), tmp_path, runner=Arithmetic())
    more, runner = make_config(seeds=(0, 1, 2, 3)), Arithmetic()
    more.tuning.grid.lr = (1, 2, 3, 2.5)
    results = sweep.sweep(more, tmp_path, runner=runner)
    assert sorted(seed for _, _, seed in runner.calls) == [3] * 3 + [10] * 3 + [11] * 3
    assert len(find(results, "", "plain")["metrics"]["test"]["values"]) == 4


def test_other_settings_are_refused_by_name(tmp_path):
    sweep.sweep(make_config(), tmp_path, runner=Arithmetic())
    other = make_config()
    other.base.shift = 1.0
    with pytest.raises(
        ValueError, match=r"json was started .*shift: 0.0 there, 1.0 now.*--workdir"
    ):
        sweep.sweep(other, tmp_path, runner=Arithmetic())


@pytest.mark.parametrize("value", ['"0.9"', "true", '{"a": 1}', "1" * 30, "["])
def test_a_file_of_runs_that_holds_something_else_is_refused(tmp_path, value):
    sweep.sweep(make_config(), tmp_path, runner=Arithmetic())
    path = tmp_path / "cells" / "plain.json"
    path.write_text(path.read_text().replace('"test": 2.0', f'"test": {value}'))
    with pytest.raises(ValueError, match=r"plain\.json: .* remove this file, and its runs"):
        sweep.sweep(make_config(), tmp_path, runner=Arithmetic())


@pytest.mark.parametrize("value", ["NaN", "1e999"])
def test_what_is_not_finite_in_a_file_of_runs_is_undefined(tmp_path, value):
    sweep.sweep(make_config(), tmp_path, runner=Arithmetic())
    path = tmp_path / "cells" / "plain.json"
    path.write_text(path.read_text().replace('"test": 2.0', f'"test": {value}'))
    results = sweep.sweep(make_config(), tmp_path, runner=Arithmetic())
    assert find(results, "", "plain")["metrics"]["test"]["mean"] is None


def test_a_row_may_settle_a_field_and_have_its_own_metric(tmp_path):
    rows = {"plain": {"lr": 7.0}, "other": {"metric": "test", "grid": {"shift": (0, 5)}}}
    results = sweep.sweep(make_config(rows=rows), tmp_path, runner=Arithmetic())
    assert find(results, "", "plain")["points"] == 1
    assert find(results, "", "plain")["metrics"]["test"]["values"] == [7, 8, 9]
    assert find(results, "", "other")["chosen"] == {"lr": 3, "shift": 5}


def test_a_run_that_diverges_is_never_chosen_and_shown_as_undefined(tmp_path):
    def runner(settings, seed):
        bad = float("nan") if settings["lr"] == 2 or seed == 1 else 1.0
        return {"val": bad if settings["lr"] == 2 else 0.0, "test": bad}

    results = sweep.sweep(make_config(), tmp_path, runner=runner)
    row = find(results, "", "plain")
    assert row["chosen"] == {"lr": 1}
    assert row["metrics"]["test"]["values"] == [1.0, None, 1.0]
    assert row["metrics"]["test"]["mean"] is None
    assert "NaN" not in (tmp_path / "results.json").read_text()
    with pytest.raises(ValueError, match="better: no point of the grid gave a finite result"):
        sweep.sweep(
            make_config(rows={"better": {}}),
            tmp_path / "b",
            runner=lambda *_: {"val": float("inf")},
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {"a": {"gian": 1.0}}}, "'a' sets 'gian'.* there are: gain, lr, shift"),
        ({"rows": {"a": {"grid": {"lr": ()}}}}, r"grid of 'lr' in 'a' is \[\]"),
        ({"rows": {"a": {"grid": {"lr": 3}}}}, "grid of 'lr' in 'a' is 3: give values"),
        ({"rows": {"a": {"metric": "vla"}}}, "a: no single number 'vla' .* there are: val, test"),
        ({"rows": {"a": {"metric": "curve"}}}, "a: no single number 'curve' .* are: val, test"),
        ({"columns": {"curve": "c"}}, "config.columns: 'curve' of '.*' is a list of numbers"),
        ({"seeds": ()}, "config.seeds"),
        ({"rows": {}}, "config.rows"),
    ],
)
def test_a_config_that_is_wrong(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        sweep.sweep(make_config(**change), tmp_path, runner=Arithmetic())


@pytest.mark.parametrize("only", ["better", "panel/better"])
def test_only_some_rows(tmp_path, only):
    results = sweep.sweep(make_config(), tmp_path, runner=Arithmetic(), only=[only])
    assert [row["name"] for row in results["rows"]] == ["better"]


def test_a_row_that_is_not_there(tmp_path):
    known = "no row best; there are: panel/better, panel/plain, plain"
    with pytest.raises(ValueError, match=known):
        sweep.sweep(make_config(), tmp_path, runner=Arithmetic(), only=["best"])


@pytest.mark.parametrize("module", [digits_skew, digits_attack])
def test_the_configs_name_fields_that_exist(module):
    cells = sweep.plan(module.get_config())
    assert len({(cell.panel, cell.name) for cell in cells}) == len(cells)
    for panel in {cell.panel for cell in cells}:
        names = {cell.name for cell in cells if cell.panel == panel}
        assert module.get_config().reference in names


def test_the_program_on_digits(tmp_path):
    command = [sys.executable, "-m", "launch.sweep", "--config=configs/digits_attack.py"]
    command += [f"--workdir={tmp_path}", "--only=median,mean", "--config.base.rounds=2"]
    command += ["--config.base.epochs=1", "--config.seeds=(0,1)", "--config.tuning.seeds=(9,)"]
    command += ["--config.tuning.grid.client_lr=(0.3,)", "--config.jobs=2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "sweep: 14 of 14 runs"
    assert "14 runs in" in done.stdout  # seven rows, two seeds
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (again.stderr, "0 runs in" in again.stdout) == ("", True)
    refused = subprocess.run([*command, "--config.base.rounds=3"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "rounds: 2 there, 3 now" in refused.stderr
