"""Runs merge over their shared patients, and are refused if more than the seed differs."""

import csv
import io
import json
import subprocess
import sys

import fake_experiment
import msgspec
import numpy as np
import pytest
from browser import browse, text_of

from fl_jax.evaluation import bootstrap_metrics, operating_points, predictions, seed_variance
from fl_jax.evaluation.bootstrap import difference
from fl_jax.report import merged_seeds
from fl_jax.report.results import visible_validation
from fl_jax.workdir import Workdir, read_records


def _noisy(data, seed):
    """Another training: other scores for the same images."""
    logits = np.log(data.scores / (1 - data.scores))
    noise = np.random.default_rng(seed).normal(size=logits.shape)
    return data._replace(scores=1 / (1 + np.exp(-logits - 0.8 * noise)))


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Three seeds of one experiment; the last has other test patients at alder and birch."""
    roots = []
    for number in range(3):
        root = fake_experiment.make(tmp_path_factory.mktemp("seeds") / f"s{number}")
        manifest = json.loads((root / "manifest.json").read_text())
        manifest["config"] |= {"seed": number, "jobs": number}
        (root / "manifest.json").write_text(json.dumps(manifest))
        for row, path in enumerate(sorted((root / "predictions").glob("*.csv"))):
            data = (
                _noisy(predictions.read(path), 10 * number + row)
                if number
                else predictions.read(path)
            )
            if number == 2:
                lost = (data.split == "test") & np.isin(data.patient, ["alder-000", "birch-001"])
                data = predictions.select(data, ~lost)
            predictions.write(path, data)
        roots.append(root)
    return roots


@pytest.fixture(scope="module")
def runs(workdirs):
    return {root.name: read_records(Workdir(root)) for root in workdirs}


@pytest.fixture(scope="module")
def merged(runs):
    return merged_seeds.compute(runs, resamples=40, ignored=("jobs",))


def test_the_spread_on_the_hold_out_is_that_of_seed_variance(runs, merged):
    number = list(merged["data_sets"]).index("holdout")

    def measured(model, run):
        data = run.predictions[model]
        holdout = predictions.select(data, data.split == "holdout")
        holdout = predictions.select(holdout, np.argsort(holdout.image))
        chosen = operating_points.youden_thresholds(visible_validation(model, data))
        return bootstrap_metrics.measure(holdout, chosen, resamples=40, seed=(0, number))

    ours = [measured("federated", run) for run in runs.values()]
    cell = merged["spread"]["holdout"]["federated"]["auroc/micro"]
    expected = seed_variance.spread(ours)["auroc/micro"]
    assert {name: cell[name] for name in expected._fields} == pytest.approx(expected._asdict())
    name = ours[0].names.index("auroc/micro")
    assert cell["values"] == [float(run.estimate[name]) for run in ours]
    assert cell["between"] > 0
    theirs = [measured("central", run) for run in runs.values()]
    gaps = seed_variance.spread([difference(*both) for both in zip(ours, theirs, strict=True)])
    cell = merged["differences"]["holdout"]["central"]["auroc/macro"]
    assert cell["low"] == pytest.approx(gaps["auroc/macro"].low)
    assert [run["seed"] for run in merged["runs"]] == [0, 1, 2]


def test_other_patients_leave_no_interval(merged):
    assert merged["data_sets"]["holdout"]["same_patients"]
    assert merged["data_sets"]["elm"]["same_patients"]
    assert not merged["data_sets"]["alder"]["same_patients"]
    assert merged["data_sets"]["alder"]["patients"] == [44, 44, 43]
    cell = merged["spread"]["alder"]["federated"]["auroc/micro"]
    assert cell["mean"] == pytest.approx(np.mean(cell["values"]))
    assert cell["between"] == pytest.approx(np.std(cell["values"], ddof=1))
    assert (cell["within"], cell["error"], cell["low"], cell["high"]) == (None,) * 4


def test_every_spread_is_in_the_csv_and_the_first_in_the_table(merged):
    lines = list(csv.DictReader(io.StringIO(merged_seeds.as_csv(merged))))
    assert list(lines[0]) == [*merged_seeds.COLUMNS, "s0", "s1", "s2"]
    wanted = ("holdout", "federated", "central", "auroc", "micro")
    (line,) = [row for row in lines if tuple(row.values())[:5] == wanted]
    cell = merged["differences"]["holdout"]["central"]["auroc/micro"]
    assert float(line["between"]) == cell["between"]
    assert float(line["s2"]) == cell["values"][2]
    table = merged_seeds.as_markdown(merged)
    assert "| Micro AUROC, hold-out | seed 0 | seed 1 | seed 2 | mean (95\u00a0%) |" in table
    assert (
        f"| federated | {merged['spread']['holdout']['federated']['auroc/micro']['values'][0]:.3f} |"
        in table
    )
    assert "| federated − central | " in table


def test_a_browser_shows_the_page(merged, tmp_path):
    path = tmp_path / "seeds.html"
    path.write_text(merged_seeds.render(merged))
    dom, console = browse(path, tmp_path)
    assert console == []
    text = text_of(dom)
    cell = merged["spread"]["holdout"]["federated"]["auroc/micro"]
    assert f"{cell['mean']:.3f} {cell['low']:.3f}–{cell['high']:.3f}" in text
    assert "43, 44 patients" in text.replace("44, 43", "43, 44")
    assert "each seed has other test patients" in text


def _with(runs, name, **config):
    manifest = runs[name].manifest
    changed = msgspec.structs.replace(manifest, config=manifest.config | config)
    return runs | {name: runs[name]._replace(manifest=changed)}


def test_what_cannot_be_merged_is_named(runs):
    with pytest.raises(ValueError, match="runs has 1: give at least 2"):
        merged_seeds.compute({"s0": runs["s0"]})
    with pytest.raises(ValueError, match="s1 was run with jobs=1, s0 with 0"):
        merged_seeds.compute(runs)
    with pytest.raises(ValueError, match="s2 was run with rounds=3, s0 with 10: merge runs that"):
        merged_seeds.compute(_with(runs, "s2", rounds=3), ignored=("jobs",))
    with pytest.raises(
        ValueError, match="s2 and s1 were both run with seed=1: repeat the experiment"
    ):
        merged_seeds.compute(_with(runs, "s2", seed=1), ignored=("jobs",))
    lost = runs | {"s1": runs["s1"]._replace(manifest=None)}
    with pytest.raises(ValueError, match="s1: no manifest with a config"):
        merged_seeds.compute(lost, ignored=("jobs",))
    alone = {
        name: run._replace(predictions={f"m{name}": run.predictions["federated"]})
        for name, run in runs.items()
    }
    with pytest.raises(ValueError, match="have no data set and model in common"):
        merged_seeds.compute(alone, ignored=("jobs",))


def test_the_program_merges_workdirs(workdirs, tmp_path):
    command = [sys.executable, "-m", "launch.report", *(f"--workdir={root}" for root in workdirs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "give --out=DIR" in done.stderr
    command += [f"--out={tmp_path / 'out'}", "--resamples=20"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    results = ["seeds.csv", "seeds.html", "seeds.json", "seeds.md"]
    assert names == [".fl_jax-seeds", ".locks", *results]
    assert (tmp_path / "out" / "seeds.md").read_text() in done.stdout
    merged = json.loads((tmp_path / "out" / "seeds.json").read_text())
    assert merged["bootstrap"]["resamples"] == 20
