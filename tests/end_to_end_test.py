"""A tiny experiment from synthetic patients to the report, run by the programs that a user calls."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from browser import browse, text_of
from real_ct import REAL, needs_real
from report.fake_experiment import MANIFEST
from reporters import Strict

from fl_jax.core.types import LABELS
from fl_jax.data.deidentify.file import UIDS
from fl_jax.evaluation import predictions
from fl_jax.experiment import restore as trained
from fl_jax.report import verdicts
from fl_jax.workdir import Workdir

ROOT = Path(__file__).parent.parent
TINY = (
    *("--config=configs/demo.py", "--config.cohort.scale=0.08", "--config.cohort.matrix=64"),
    *("--config.image_size=32", "--config.spacing_mm=6"),
    *(
        "--config.model=resnet(widths=(8,), blocks=(1,), strides=(2,), stem=8)",
        "--config.rounds=2",
    ),
    *("--config.resamples=50", "--config.jobs=1", "--config.optimizer=adam(1e-3)"),
)
MODELS = 7
ONE_DEVICE = {"XLA_FLAGS": ""}
"""The tests have four devices; one saves compilations."""


def program(module, *arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", f"launch.{module}", *arguments],
        cwd=ROOT,
        env=os.environ | ONE_DEVICE | more,
        capture_output=True,
        text=True,
        timeout=1200,
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    done = program("experiment", *TINY, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_an_experiment_writes_all_its_files(workdir):
    assert len(list((workdir / "predictions").glob("*.csv"))) == MODELS
    assert len(list((workdir / "models").glob("*/done.json"))) == MODELS
    results = json.loads((workdir / "results.json").read_text())
    matrix = json.loads((workdir / "cross_site.json").read_text())
    assert len(matrix) == 6
    assert all(len(row) == MODELS for row in matrix.values())
    assert results
    seen = {
        path.parent.name: json.loads(path.read_text())["examples_seen"]
        for path in workdir.glob("models/*/done.json")
    }
    local = sum(number for name, number in seen.items() if name.startswith("local_"))
    assert seen["federated"] == seen["central"] == local
    for model in workdir.glob("models/*"):
        rounds = [
            json.loads(x)["round"] for x in (model / "metrics.jsonl").read_text().splitlines()
        ]
        assert rounds == [1, 2]


def test_the_report_needs_no_network_and_no_model(workdir):
    page = (workdir / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    outputs = [workdir / name for name in ("results.json", "cross_site.json", "report.html")]
    outputs += list((workdir / "tables").iterdir())
    assert not (workdir / "figures").exists()
    before = {path: path.read_bytes() for path in outputs}
    (workdir / "results.json").unlink()
    again = program("report", f"--workdir={workdir}", PYTHONHASHSEED="7", OMP_NUM_THREADS="3")
    assert again.returncode == 0, again.stderr
    assert len(outputs) > 8
    assert len(list((workdir / "figures").glob("*.pdf"))) > 8
    assert [path.name for path in outputs if path.read_bytes() != before[path]] == []


def test_a_browser_shows_the_report_without_errors(workdir, tmp_path):
    manifest = json.loads((workdir / "manifest.json").read_text())
    dom, console = browse(workdir / "report.html", tmp_path)
    assert console == []
    text = text_of(dom)
    for name in ("command", "machine", "device"):
        assert manifest[name] in text
    assert "</footer>" in dom


def test_the_manifest_has_the_types_of_the_reports_test_data(workdir):
    manifest = json.loads((workdir / "manifest.json").read_text())
    assert {name: type(value) for name, value in manifest.items()} == {
        name: type(value) for name, value in MANIFEST.items()
    }
    assert set(MANIFEST["config"]) <= set(manifest["config"])


def test_the_same_command_skips_complete_stages(workdir):
    stamps = {p: p.stat().st_mtime_ns for p in workdir.glob("models/*/done.json")}
    again = program("experiment", *TINY, f"--workdir={workdir}")
    assert again.returncode == 0, again.stderr
    skipped = {x.split(":")[0] for x in again.stderr.splitlines() if "complete, skipped" in x}
    assert {"cohort", "dataset"} < skipped
    assert len(skipped) == 2 + MODELS
    assert {p: p.stat().st_mtime_ns for p in workdir.glob("models/*/done.json")} == stamps


def test_no_output_contains_an_identifier(workdir):
    keywords = ["PatientName", "PatientID", "AccessionNumber", "StudyID", *UIDS]
    planted = set()
    for path in (workdir / "cohort").rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        planted |= {str(header[keyword].value).encode() for keyword in keywords}
    planted = {value for value in planted if len(value) >= 4}
    assert len(planted) > 50
    written = [p for p in workdir.rglob("*") if p.is_file() and "cohort" not in p.parts]
    assert {"report.html", "index.csv", "partition.csv"} <= {path.name for path in written}
    for path in written:
        data = path.read_bytes()
        assert not [value for value in planted if value in data], path


def test_scans_without_labels_are_predicted(workdir, tmp_path):
    domain = workdir / "models" / "federated" / "domain.json"
    stamps = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    source = workdir / "cohort" / "holdout"
    done = program("evaluate", f"--workdir={workdir}", f"--source={source}", f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "not a DICOM image" in done.stderr  # labels.csv
    after = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    assert after.pop(domain) is not None
    stamps.pop(domain, None)
    assert after == stamps
    assert "training scans" in done.stdout
    judged = predictions.read(workdir / "predictions" / "federated.csv")
    known = dict(zip(judged.image.tolist(), judged.scores, strict=True))
    with (tmp_path / "predictions.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == (judged.split == "holdout").sum()
    for line in lines:
        probabilities = [float(line[label]) for label in LABELS]
        np.testing.assert_allclose(probabilities, known[Path(line["image"]).stem], atol=1e-6)
    page = (tmp_path / "predictions.html").read_text()
    if len(lines) <= verdicts.EVERY:
        assert page.count("data:image/jpeg;base64,") == len(lines)
    assert "from the DICOM files at their resolution" in page
    other = program(
        "train", *TINY, f"--workdir={tmp_path / 'run'}", f"--config.data_dir={tmp_path}/data"
    )
    assert other.returncode == 1
    assert "no labels: it is for inference only" in other.stderr


@needs_real
def test_real_scans_are_predicted_and_other_files_refused(workdir, tmp_path):
    done = program("evaluate", f"--workdir={workdir}", f"--source={REAL}", f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "predictions.csv").open() as file:
        lines = list(csv.DictReader(file))
    names = [line["image"] for line in lines if line["image"].startswith("ct_head_ge")]
    assert names == [f"ct_head_ge/{number:02d}.dcm" for number in range(1, 29)]
    page = text_of((tmp_path / "predictions.html").read_text())
    for reason in ("localizer", "colour", "derived or secondary", "not a DICOM image"):
        assert f"{reason}: " in page
    assert "padding clipped to air (28)" in page


def test_another_model_and_checkpoint_can_be_evaluated(workdir, tmp_path):
    data = (f"--workdir={workdir}", f"--data={workdir / 'data'}", f"--out={tmp_path}")
    model = sorted(path.name for path in (workdir / "models").glob("local_*"))[0]
    done = program("evaluate", *data, f"--model={model}", "--checkpoint=2", "--by_study")
    assert done.returncode == 0, done.stderr
    assert f"predicted by {model}, round 2" in done.stderr
    assert f"{model}</td>" in (tmp_path / "predictions.html").read_text()
    stored = predictions.read(workdir / "predictions" / f"{model}.csv")
    judged = predictions.read(tmp_path / "judged.csv")
    assert set(judged.patient.tolist()) >= set(stored.patient.tolist())
    results = json.loads((tmp_path / "evaluation.json").read_text())
    assert results["facts"]["round"] == 2
    assert "noisy-or over its slices" in results["facts"]["a study's probability"]
    assert "A shortcut, by study, would reach" in done.stdout
    assert "evaluation.html" in done.stdout
    with pytest.raises(
        FileNotFoundError, match=r"no trained model; .* has central, federated, loc"
    ):
        trained.load(Workdir(workdir), Strict(), "nobody")
    with pytest.raises(ValueError, match="step=9: "):
        trained.load(Workdir(workdir), Strict(), model, checkpoint=9)


def test_a_training_refuses_a_workdir_of_another_config(workdir):
    other = program("train", *TINY, f"--workdir={workdir}", "--config.optimizer=sgd(0.1)")
    assert other.returncode == 1
    assert "optimizer: 'adam(1e-3)' there, 'sgd(0.1)' now" in other.stderr


def test_a_missing_dataset_is_named_in_one_line(tmp_path):
    done = program("train", "--config=configs/demo.py", f"--workdir={tmp_path}")
    assert done.returncode == 1
    assert "launch.prepare_data" in done.stderr
    assert "Traceback" not in done.stderr


def test_saliency_is_measured_and_shown(workdir):
    done = program("explain", f"--workdir={workdir}", "--resamples=20")
    assert done.returncode == 0, done.stderr
    results = json.loads((workdir / "saliency.json").read_text())
    measured = {name for name, row in results["subtypes"].items() if row}
    assert measured
    assert {path.stem for path in (workdir / "saliency").glob("*.png")} == measured
    again = program("report", f"--workdir={workdir}")
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    page = (workdir / "report.html").read_text()
    assert "other predictions than this report's" not in page
    assert page.count('alt="Slices, lesions and maps of ') == len(measured)
