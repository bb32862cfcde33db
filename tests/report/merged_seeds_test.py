"""Seeds of one study are merged on the patients that they share, and refused where more differs."""

import csv
import io
import json
import subprocess
import sys

import fake_study
import msgspec
import numpy as np
import pytest
from browser import browse, text_of

from fl_jax.evaluation import bootstrap_metrics, operating_points, predictions, seed_variance
from fl_jax.evaluation.bootstrap import difference
from fl_jax.report import seeds as merged
from fl_jax.report.results import own_validation
from fl_jax.workdir import Workdir, read_records


def _noisy(data, seed):
    """Another training: other scores for the same images."""
    logits = np.log(data.scores / (1 - data.scores))
    noise = np.random.default_rng(seed).normal(size=logits.shape)
    return data._replace(scores=1 / (1 + np.exp(-logits - 0.8 * noise)))


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Three seeds of one study; the last deals alder's and birch's patients otherwise."""
    found = []
    for number in range(3):
        root = fake_study.make(tmp_path_factory.mktemp("seeds") / f"s{number}")
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
        found.append(root)
    return found


@pytest.fixture(scope="module")
def studies(workdirs):
    return {root.name: read_records(Workdir(root)) for root in workdirs}


@pytest.fixture(scope="module")
def found(studies):
    return merged.compute(studies, resamples=40, free=("jobs",))


def test_the_hold_out_is_taken_apart_as_the_statistics_say(studies, found):
    number = list(found["data_sets"]).index("holdout")

    def measured(model, study):
        data = study.predictions[model]
        held = predictions.select(data, data.split == "holdout")
        held = predictions.select(held, np.argsort(held.image))
        chosen = operating_points.youden_thresholds(own_validation(model, data))
        return bootstrap_metrics.measure(held, chosen, resamples=40, seed=(0, number))

    ours = [measured("federated", study) for study in studies.values()]
    cell = found["spread"]["holdout"]["federated"]["auroc/micro"]
    expected = seed_variance.spread(ours)["auroc/micro"]
    assert {name: cell[name] for name in expected._fields} == pytest.approx(expected._asdict())
    name = ours[0].names.index("auroc/micro")
    assert cell["values"] == [float(one.estimate[name]) for one in ours]
    assert cell["between"] > 0
    theirs = [measured("central", study) for study in studies.values()]
    gaps = seed_variance.spread([difference(*both) for both in zip(ours, theirs, strict=True)])
    cell = found["differences"]["holdout"]["central"]["auroc/macro"]
    assert cell["low"] == pytest.approx(gaps["auroc/macro"].low)
    assert [run["seed"] for run in found["runs"]] == [0, 1, 2]


def test_other_patients_leave_no_interval(found):
    assert found["data_sets"]["holdout"]["same_patients"]
    assert found["data_sets"]["elm"]["same_patients"]
    assert not found["data_sets"]["alder"]["same_patients"]
    assert found["data_sets"]["alder"]["patients"] == [44, 44, 43]
    cell = found["spread"]["alder"]["federated"]["auroc/micro"]
    assert cell["mean"] == pytest.approx(np.mean(cell["values"]))
    assert cell["between"] == pytest.approx(np.std(cell["values"], ddof=1))
    assert (cell["within"], cell["error"], cell["low"], cell["high"]) == (None,) * 4


def test_every_spread_is_in_the_csv_and_the_first_in_the_table(found):
    lines = list(csv.DictReader(io.StringIO(merged.as_csv(found))))
    assert list(lines[0]) == [*merged.COLUMNS, "s0", "s1", "s2"]
    wanted = ("holdout", "federated", "central", "auroc", "micro")
    (line,) = [row for row in lines if tuple(row.values())[:5] == wanted]
    cell = found["differences"]["holdout"]["central"]["auroc/micro"]
    assert float(line["between"]) == cell["between"]
    assert float(line["s2"]) == cell["values"][2]
    table = merged.as_markdown(found)
    assert "| Micro AUROC, hold-out | seed 0 | seed 1 | seed 2 | mean (95\u00a0%) |" in table
    assert (
        f"| federated | {found['spread']['holdout']['federated']['auroc/micro']['values'][0]:.3f} |"
        in table
    )
    assert "| federated − pooled | " in table


def test_a_browser_shows_the_page(found, tmp_path):
    path = tmp_path / "seeds.html"
    path.write_text(merged.render(found))
    dom, console = browse(path, tmp_path)
    assert console == []
    text = text_of(dom)
    cell = found["spread"]["holdout"]["federated"]["auroc/micro"]
    assert f"{cell['mean']:.3f} {cell['low']:.3f}–{cell['high']:.3f}" in text
    assert "43, 44 patients" in text.replace("44, 43", "43, 44")
    assert "The seeds judged different patients" in text


def _with(studies, name, **config):
    study = studies[name]
    changed = msgspec.structs.replace(study.manifest, config={**study.config, **config})
    return studies | {name: study._replace(manifest=changed)}


def test_what_cannot_be_merged_is_named(studies):
    with pytest.raises(ValueError, match="studies holds 1: give at least 2"):
        merged.compute({"s0": studies["s0"]})
    with pytest.raises(ValueError, match="s1 was run with jobs=1, s0 with 0"):
        merged.compute(studies)
    with pytest.raises(
        ValueError, match="s2 was run with rounds=3, s0 with 10: merge studies that"
    ):
        merged.compute(_with(studies, "s2", rounds=3), free=("jobs",))
    with pytest.raises(ValueError, match="s2 and s1 were both run with seed=1: repeat the study"):
        merged.compute(_with(studies, "s2", seed=1), free=("jobs",))
    lost = studies | {"s1": studies["s1"]._replace(manifest=None)}
    with pytest.raises(ValueError, match=r"s1: no manifest\.json with a config"):
        merged.compute(lost, free=("jobs",))
    alone = {
        name: study._replace(predictions={f"m{name}": study.predictions["federated"]})
        for name, study in studies.items()
    }
    with pytest.raises(ValueError, match="have no data set and model in common"):
        merged.compute(alone, free=("jobs",))


def test_the_program_merges_workdirs(workdirs, tmp_path):
    command = [sys.executable, "-m", "launch.report", *(f"--workdir={root}" for root in workdirs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "give --out=DIR" in done.stderr
    command += [f"--out={tmp_path / 'out'}", "--resamples=20"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["seeds.csv", "seeds.html", "seeds.json", "seeds.md"]
    assert (tmp_path / "out" / "seeds.md").read_text() in done.stdout
    found = json.loads((tmp_path / "out" / "seeds.json").read_text())
    assert found["bootstrap"]["resamples"] == 20
