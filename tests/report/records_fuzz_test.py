"""An experiment's folder and a survey with faults of every kind: read in full, or refused by name."""

import json
import re
import shutil

import numpy as np
import pytest
from fuzzing import broken, count, each, listing, nothing_written, table

from fl_jax.files.jsonable import jsonable
from fl_jax.files.regular import sha256
from fl_jax.report import merged_seeds, page, results, survey
from fl_jax.report.build import build
from fl_jax.workdir import Workdir, records

FILES = (
    *("manifest.json", "data/summary.json", "saliency.json", "partition.csv"),
    *("models/federated/done.json", "models/federated/metrics.jsonl"),
)
INTERVAL = {"estimate": 0.3, "low": 0.2, "high": None}
ROW = {
    **dict.fromkeys(("fit", "slices", "patients", "checked_slices"), 9),
    **dict.fromkeys(("share", "chance", "difference", "random_share"), INTERVAL),
    "correlation": {"Conv_0": INTERVAL, "all": INTERVAL},
}
SALIENCY = {"model": "federated", "samples": 16, "noise_hu": 5.0, "slices": "some", "seed": 0}
SALIENCY |= {"resamples": 50, "subtypes": {"epidural": ROW, "subdural": None}}
ITEMS = [survey.Item("It was easy.", ("no", "yes")), survey.Item("What was not?", ())]
ANSWERS = "site,It was easy.,What was not?\nalder,yes,labels\nbirch,,\ncedar,no,much\n"


@pytest.fixture
def workdir(copy):
    """An experiment with only the federated and the central model, with saliency maps."""
    for path in (copy / "predictions").glob("local_*.csv"):
        path.unlink()
    digest = sha256(copy / "predictions" / "federated.csv")
    (copy / "saliency.json").write_text(json.dumps(SALIENCY | {"predictions": digest}))
    return copy


def test_no_file_of_an_experiment_breaks_the_page(workdir, monkeypatch):
    good = {name: (workdir / name).read_bytes() for name in FILES}
    whole = records.read_records(Workdir(workdir))
    computed = results.compute(whole, resamples=2) | {"survey": None}
    draw = page.figures.draw
    names = dict.fromkeys(draw(jsonable(computed)))
    monkeypatch.setattr(Workdir, "read_predictions", lambda self, model: whole.predictions[model])
    monkeypatch.setattr(page.figures, "draw", lambda _: names)
    monkeypatch.setattr(page, "svg", lambda *drawn: "")

    def judge(case):
        name, data = case
        path = workdir / name
        path.write_bytes(data)
        try:
            changed = records.read_records(Workdir(workdir))
        except ValueError as error:
            return "refused" if str(path) in str(error) else f"unnamed: {error!r}"
        finally:
            path.write_bytes(good[name])
        read = json.loads(
            json.dumps(jsonable(computed | results.from_records(changed)), allow_nan=False)
        )
        assert "<script>alert" not in page.render(read, None, {})
        if name.endswith("jsonl"):
            draw(read | {"gains": {}, "roc": {}, "precision_recall": {}, "calibration": {}})
        return "read"

    def made(generator):
        name = FILES[int(generator.integers(len(FILES)))]
        return name, broken(generator, good[name], name)

    with nothing_written(workdir.parent):
        outcomes = each(13, count(120), made, judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 10, outcomes


@pytest.mark.parametrize("subtype", ["../../secret", "/etc/passwd", "a\0b", "any"])
def test_a_map_is_of_a_known_subtype(workdir, subtype):
    saliency = json.loads((workdir / "saliency.json").read_text())
    saliency["subtypes"] = {subtype: ROW}
    (workdir / "saliency.json").write_text(json.dumps(saliency))
    with pytest.raises(ValueError, match=r"saliency\.json: subtypes is .*: Invalid"):
        records.read_records(Workdir(workdir))


def test_a_map_is_a_png_in_the_workdir(workdir, tmp_path):
    panel = workdir / "saliency" / "epidural.png"
    panel.parent.mkdir()
    (tmp_path / "secret").write_text("secret")
    panel.symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match=r"epidural\.png: is a link out of"):
        build(Workdir(workdir), resamples=2, thumbnails=lambda images: {})
    panel.unlink()
    panel.write_text("secret")
    with pytest.raises(ValueError, match=r"epidural\.png: not a PNG"):
        build(Workdir(workdir), resamples=2, thumbnails=lambda images: {})


@pytest.mark.parametrize("resamples", [0, 2**40])
def test_resamples_are_bounded(workdir, resamples):
    (workdir / "manifest.json").write_text(json.dumps({"config": {"resamples": resamples}}))
    with pytest.raises(ValueError, match=f"resamples={resamples}: "):
        build(Workdir(workdir))


@pytest.mark.parametrize("config", [{}, {"seed": [0]}, {"seed": "0"}, {"seed": -1}, [1], "seed"])
def test_seeds_of_runs_without_one_are_refused(workdir, tmp_path, config):
    other = shutil.copytree(workdir, tmp_path / "other")
    (other / "manifest.json").write_text(json.dumps({"config": config}))
    with pytest.raises(ValueError, match=re.escape(str(other))):
        merged_seeds.compute(
            {str(path): records.read_records(Workdir(path)) for path in (workdir, other)},
            resamples=2,
        )


def test_no_survey_breaks_the_promise(tmp_path):
    path = tmp_path / "answers.csv"

    def judge(data):
        path.write_bytes(data)
        try:
            summary = survey.summarize(path, ITEMS)
        except ValueError as error:
            return "refused" if str(path) in str(error) and len(str(error)) < 2000 else repr(error)
        for item in summary["scales"]:
            assert sum(item["counts"]) + item["missing"] == summary["respondents"]
        for item in summary["texts"]:
            assert len(item["answers"]) + item["missing"] == summary["respondents"]
            assert all(re.sub(r"[\n\r\t]", "", text).isprintable() for text in item["answers"])
        return "read"

    with nothing_written(tmp_path, path.name):
        outcomes = each(14, count(600), lambda generator: table(generator, ANSWERS), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes
    assert listing(tmp_path) == {path.name}


def test_the_words_reach_the_values():
    made = [broken(np.random.default_rng((13, n)), b'{"a": {"b": 1}}', "") for n in range(200)]
    assert any(b"../../x" in data for data in made)
