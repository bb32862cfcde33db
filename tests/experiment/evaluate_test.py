"""Evaluation of stored predictions without a model, of other data with one, and of other programs."""

import csv
import dataclasses
import errno
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import fake_experiment
import make_summary
import numpy as np
import pytest
from scipy import special

from fl_jax.data import partition
from fl_jax.data import slices as datasets
from fl_jax.data.index import COLUMNS
from fl_jax.evaluation import predictions
from fl_jax.experiment import compare_predictions, evaluate, labelled_predictions
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import Reporter
from fl_jax.report import labelled_scans
from fl_jax.workdir import EvaluationFolder, Workdir


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    return fake_experiment.make(tmp_path_factory.mktemp("study") / "work")


def _program(*flags):
    command = [sys.executable, "-m", "launch.evaluate", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def _columns(source, target, number):
    with open(source, newline="") as file, open(target, "w", newline="") as out:
        csv.writer(out).writerows(row[:number] for row in csv.reader(file))
    return target


def test_predictions_on_disk_are_judged_and_compared_without_a_model(workdir, tmp_path):
    theirs = _columns(workdir / "predictions" / "central.csv", tmp_path / "theirs.csv", 3)
    done = _program(
        *(f"--workdir={workdir}", f"--predictions={theirs}", "--resamples=20"),
        f"--predictions=elm's own={workdir / 'predictions' / 'local_elm.csv'}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("On 60 patients (hold-out, ")
    out = workdir / "evaluations" / "federated"
    assert sorted(path.name for path in out.iterdir()) == [
        *(
            ".fl_jax-evaluation",
            ".locks",
            "evaluation.csv",
            "evaluation.html",
            "evaluation.json",
            "judged.csv",
        )
    ]
    results = json.loads((out / "evaluation.json").read_text())
    assert results["models"] == ["federated", "theirs", "elm's own"]
    assert (
        results["thresholds"]["theirs"]["any"] is not None
    )  # it judged the validation images, too
    printed = _program(f"--workdir={workdir}", "--resamples=20", "--json")
    assert json.loads(printed.stdout)["results"]["models"] == ["federated"]
    ours = predictions.read(out / "judged.csv")
    kept = predictions.read(workdir / "predictions" / "federated.csv")
    np.testing.assert_array_equal(ours.scores, kept.scores)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (
            [f"--predictions={'x' * 5000}=a"],
            1,
            "xxx ...: a program's name is 1 to 1000 printable",
        ),
        (
            ["--predictions=\udcff={theirs}"],
            1,
            r"error: --predictions=\udcff=",
        ),
        ([f"--predictions=a={'x' * 5000}"], 1, "xxx ...: there is no file xxx"),
        (["--predictions=federated={theirs}"], 1, "the name 'federated' is in use"),
        (["--predictions={theirs}", "--predictions={theirs}"], 1, "the name 'theirs' is in use"),
        (["--predictions=nowhere.csv"], 1, "there is no file nowhere.csv"),
        (["--predictions={bad}"], 1, "line 2: Image is 'ID_unknown': no such image among the data"),
        (["--predictions={short}"], 1, "lacks "),
        (["--source=x", "--predictions={theirs}"], 1, "--source is for scans without labels"),
        (["--partition=p.csv"], 1, "--partition=p.csv is of a dataset: name it with --data"),
        (["--source=x", "--by_study"], 1, "--by_study evaluates labelled studies"),
        (["--model=nobody"], 1, "has no trained model"),
        (["--checkpoint=3"], 1, "has no trained model"),
    ],
)
def test_what_cannot_be_judged_is_named(workdir, tmp_path, flags, code, words):
    theirs = _columns(workdir / "predictions" / "central.csv", tmp_path / "theirs.csv", 4)
    lines = theirs.read_text().splitlines()
    first = lines[1].split(",")[0]
    names = {"theirs": theirs, "bad": tmp_path / "bad.csv", "short": tmp_path / "short.csv"}
    names["bad"].write_text("\n".join(lines).replace(f"{first},", "ID_unknown,"))
    kept = [line for line in lines if "holdout-003" not in line]
    names["short"].write_text("\n".join(kept))
    flags = [flag.format(**names) for flag in flags]
    done = _program(f"--workdir={workdir}", f"--out={tmp_path / 'out'}", *flags)
    assert done.returncode == code
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_written_is_not_read(workdir, tmp_path):
    shutil.copy(workdir / "predictions" / "central.csv", tmp_path / "judged.csv")
    flags = (f"--predictions={tmp_path / 'judged.csv'}", f"--out={tmp_path}")
    done = _program(f"--workdir={workdir}", *flags)
    assert done.returncode == 1
    assert "which this command writes: give another --out" in done.stderr


@pytest.mark.parametrize("name", ["predictions.csv", "evaluation.csv"])
def test_our_own_earlier_results_are_not_compared_with(workdir, tmp_path, name):
    out = tmp_path / "out"
    assert _program(f"--workdir={workdir}", f"--out={out}", "--resamples=20").returncode == 0
    shutil.copy(workdir / "predictions" / "central.csv", out / name)
    flags = (f"--predictions=theirs={out / name}", f"--out={out}")
    done = _program(f"--workdir={workdir}", *flags)
    assert done.returncode == 1
    assert "which this command writes: give another --out" in done.stderr
    assert (out / name).exists()


def test_results_of_two_calls_are_not_mixed(workdir, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    request = evaluate.Request(out=tmp_path / "out", resamples=20)
    files = evaluate.evaluate(Workdir(workdir), request, Reporter()).files
    assert all(path.exists() for path in files)
    monkeypatch.setattr(compare_predictions.labelled_scans, "render", full)
    with pytest.raises(OSError, match="full"):
        evaluate.evaluate(Workdir(workdir), request._replace(model="central"), Reporter())
    assert not (tmp_path / "out" / "evaluation.html").exists()


@pytest.fixture(name="experiment")
def _experiment(slices, tmp_path):
    """An experiment's dataset summary and partition, and a model that reads one number."""
    divided = partition.by_patient(slices, fractions=(0.5, 0.25, 0.25), seed=0)
    partition.save(divided, tmp_path / "partition.csv")
    (tmp_path / "data").mkdir()
    make_summary.write(tmp_path / "data")
    model = SimpleNamespace(name="local_a", dataset="d")
    return tmp_path, model, divided


def _judge(slices, experiment, data_dir, said, best=True, **more):
    workdir, model, _ = experiment
    logits = np.linspace(-2, 2, slices.labels.size).reshape(slices.labels.shape)
    reporter = Reporter()
    reporter.message = said.append
    predicted = labelled_predictions.from_logits(
        model, slices, logits, Workdir(workdir), data_dir, best=best, reporter=reporter, **more
    )
    return predicted, logits


def _write_index(slices, data_dir):
    (data_dir / "slices").mkdir()
    with (data_dir / "slices" / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        pairs = zip(slices.image.tolist(), slices.patient.tolist(), strict=True)
        writer.writerows({"image": image, "patient": patient} for image, patient in pairs)
    make_summary.reseal(data_dir)


def test_the_studys_training_patients_are_left_out(slices, experiment):
    workdir, _, divided = experiment
    said = []
    labelled, logits = _judge(slices, experiment, workdir / "data", said)
    rows = np.concatenate([divided.rows(slices, s) for s in ("validation", "test", "holdout")])
    assert labelled.scores.image.tolist() == slices.image[rows].tolist()
    np.testing.assert_array_equal(labelled.scores.scores, special.expit(logits[rows]))
    trained_on = set(divided.patient[divided.split == "train"].tolist())
    assert not trained_on & set(labelled.scores.patient.tolist())
    assert set(labelled.scores.split.tolist()) == {"validation", "test", "holdout"}
    assert set(labelled.validation.site.tolist()) == {
        "a"
    }  # a local model is selected on its site's patients
    assert labelled.facts["training slices left out"] == len(slices) - rows.size
    assert said == []


def test_other_data_are_test_data_with_the_studys_operating_points(slices, experiment, tmp_path):
    workdir, _, divided = experiment
    other = tmp_path / "other"
    other.mkdir()
    make_summary.write(other, digest="another")
    kept, _ = _judge(slices, experiment, workdir / "data", [])
    (workdir / "predictions").mkdir()
    predictions.write(workdir / "predictions" / "local_a.csv", kept.scores)
    _write_index(slices, workdir / "data")
    said = []
    labelled, _ = _judge(slices, experiment, other, said)
    assert labelled.scores.image.tolist() == slices.image.tolist()
    assert set(labelled.scores.split[slices.site == "holdout"].tolist()) == {"holdout"}
    assert set(labelled.scores.split[slices.site != "holdout"].tolist()) == {"test"}
    np.testing.assert_allclose(labelled.validation.scores, kept.validation.scores, rtol=1e-8)
    number = divided.rows(slices, "train").size
    assert labelled.facts["images with the name of a training image"] == number
    assert said[0].startswith(f"{number} of {len(slices)} images have the name of a training image")


def test_other_data_are_evaluated_on_the_patients_that_another_experiment_kept(
    slices, experiment, tmp_path
):
    workdir, _, _ = experiment
    other = tmp_path / "other"
    other.mkdir()
    make_summary.write(other, digest="another")
    theirs = partition.by_patient(slices, fractions=(0.25, 0.25, 0.5), seed=1)
    partition.save(theirs, other / "partition.csv")
    _write_index(slices, workdir / "data")
    nothing = labelled_predictions.NO_PREDICTIONS, "nowhere"
    more = {"partition": other / "partition.csv", "seen": nothing}
    labelled, _ = _judge(slices, experiment, other, [], **more)
    for split in ("validation", "test", "holdout"):
        mine = labelled.scores.image[labelled.scores.split == split]
        assert mine.tolist() == slices.image[theirs.rows(slices, split)].tolist()
    assert labelled.facts["slices left out"] == theirs.rows(slices, "train").size
    with pytest.raises(ValueError, match="which has a partition: omit --partition"):
        _judge(slices, experiment, workdir / "data", [], **more)


def test_without_the_studys_validation_data_there_is_no_operating_point(
    slices, experiment, tmp_path
):
    said = []
    (experiment[0] / "data" / "summary.json").unlink()
    labelled, _ = _judge(slices, experiment, tmp_path / "other", said, best=False)
    assert labelled.validation.image.size == 0
    assert said == [
        "the experiment's validation data are not on this disk: only the fixed operating point is known"
    ]
    assert labelled.facts["images with the name of a training image"].startswith("unknown")


def test_slices_without_labels_are_not_judged(slices, experiment):
    lost = dataclasses.replace(slices, labels=np.full(slices.labels.shape, -1, np.int8))
    with pytest.raises(ValueError, match="the dataset has no labels"):
        _judge(lost, experiment, experiment[0] / "data", [])


def test_an_arm_that_is_still_training_is_evaluated_with_a_warning(workdir, tmp_path, monkeypatch):
    unfinished = tmp_path / "work"
    shutil.copytree(workdir, unfinished)
    monkeypatch.setattr(evaluate.training_inputs, "read", lambda _: {"rounds": 24})
    request = evaluate.Request(out=tmp_path / "out", resamples=20)
    said = []
    reporter = Reporter()
    reporter.message = said.append
    evaluate.evaluate(Workdir(unfinished), request, reporter)
    assert said == []
    (unfinished / "models" / "federated" / "done.json").unlink()
    results = evaluate.evaluate(Workdir(unfinished), request, reporter).results
    assert said == [
        "The training of federated has not finished: 10 of 24 rounds are done, so these results are of an "
        "unfinished model."
    ]
    assert labelled_scans.sentence(results).endswith(said[0])
    assert said[0] in (tmp_path / "out" / "evaluation.html").read_text()


def test_a_dataset_of_another_spacing_is_refused(tmp_path, slices, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda folder: slices)
    model: Any = SimpleNamespace(image_size=8, config=Config(image_size=8, spacing_mm=25.0))
    with pytest.raises(ValueError, match=r"whole field .* reads 25 mm a pixel: .*--spacing_mm=25"):
        evaluate.predict(
            model, tmp_path, EvaluationFolder(tmp_path), labelled_predictions.NO_PREDICTIONS
        )
    assert not [*tmp_path.iterdir()]
