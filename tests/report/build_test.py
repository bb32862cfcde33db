import json

import fake_experiment
import numpy as np
import pytest
import threadpoolctl
from browser import text_of

from fl_jax.core.types import LABELS
from fl_jax.data.slices import Slices
from fl_jax.evaluation import predictions
from fl_jax.report.build import build, dataset_thumbnails
from fl_jax.workdir import Workdir


def _results(workdir):
    return json.loads((workdir / "results.json").read_text())


def _page(workdir) -> str:
    return (workdir / "report.html").read_text()


def test_a_second_build_gives_the_same_bytes(built, copy):
    build(Workdir(copy), resamples=60, thumbnails=fake_experiment.heads)
    for name in ("results.json", "cross_site.json", "report.html"):
        assert (copy / name).read_bytes() == (built / name).read_bytes()
    assert not list(copy.glob("*.partial"))


def test_statistics_use_one_thread_of_blas(copy, monkeypatch):
    """The fits of a report are tiny: several threads spin ten times longer than they compute."""
    used = []

    def compute(*_, **__):
        pools = threadpoolctl.threadpool_info()
        used.extend(pool["num_threads"] for pool in pools if pool["user_api"] == "blas")
        raise InterruptedError

    monkeypatch.setattr("fl_jax.report.results.compute", compute)
    with threadpoolctl.threadpool_limits(2), pytest.raises(InterruptedError):
        build(Workdir(copy))
    assert set(used) == {1}


def test_without_a_hold_out_the_pooled_test_patients_are_the_primary_data(copy):
    for path in (copy / "predictions").glob("*.csv"):
        data = predictions.read(path)
        predictions.write(path, predictions.select(data, data.split != "holdout"))
    results = build(Workdir(copy), resamples=20)
    assert results["primary"]["data"] == "all_sites"
    assert "test patients of all hospitals" in text_of(_page(copy))


def test_without_any_patient_to_test_on_there_is_no_report(copy):
    for path in (copy / "predictions").glob("*.csv"):
        data = predictions.read(path)
        predictions.write(path, predictions.select(data, data.split == "validation"))
    with pytest.raises(ValueError, match="have no image of the splits test and holdout: predict"):
        build(Workdir(copy), resamples=20)


def test_without_a_hold_out_personal_models_have_an_operating_point_like_the_others(copy):
    fake_experiment.add_personal(copy)
    for path in (copy / "predictions").glob("*.csv"):
        data = predictions.read(path)
        predictions.write(path, predictions.select(data, data.split != "holdout"))
    build(Workdir(copy), resamples=20)
    page = _page(copy)
    assert "<summary>Personal</summary>" in page
    assert "n/a" not in text_of(page)


def test_models_evaluated_on_different_images_are_refused(copy):
    path = copy / "predictions" / "central.csv"
    data = predictions.read(path)
    predictions.write(path, predictions.select(data, np.arange(data.image.size) != 3))
    with pytest.raises(ValueError, match="the models 'federated' and 'central' differ in 'image'"):
        build(Workdir(copy), resamples=20)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "{", "manifest.json: .*; delete it and run its stage again"),
        ("manifest.json", "[]", "manifest.json: it is \\[\\]: Expected .object"),
        ("models/central/metrics.jsonl", '{"round": 1}\n{"rou', "metrics.jsonl, line 2: "),
        (
            "models/central/metrics.jsonl",
            "{}",
            "metrics.jsonl, line 1: it is {}: .*missing required field .round",
        ),
        ("partition.csv", "patient,site\n", "partition.csv: the first line must be patient,site,"),
    ],
)
def test_a_broken_file_is_named(copy, name, text, message):
    (copy / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        build(Workdir(copy), resamples=20)
    assert not (copy / "report.html").exists()


def test_without_predictions_there_is_nothing_to_report(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run launch\.experiment with --workdir="):
        build(Workdir(tmp_path))


def test_the_program_takes_the_experiments_options_and_prints_the_headline(copy, program):
    done = program(f"--workdir={copy}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "On 60 hold-out patients the federated model reaches an AUROC of "
    )
    assert (copy / "report.html").exists()
    assert _results(copy)["bootstrap"] == {"resamples": 30, "seed": 0, "level": 0.95}


def test_the_program_takes_other_options_and_refuses_a_folder_in_one_line(
    copy, program, monkeypatch
):
    monkeypatch.setenv("HOME", str(copy.parent))
    done = program("--workdir=~/work", "--resamples=20", "--seed=7")
    assert done.returncode == 0, done.stderr
    assert _results(copy)["bootstrap"] == {"resamples": 20, "seed": 7, "level": 0.95}
    done = program("--workdir=~/typo")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_pictures_come_from_the_dataset_by_name(monkeypatch):
    pixels = np.arange(3 * 4, dtype=np.int16).reshape(3, 2, 2)
    texts, series = np.array(["c", "a", "b"]), np.full(3, "s")
    numbers = np.array([0, 5, 10], np.float32)
    labels = np.zeros((3, len(LABELS)), np.uint8)
    slices = Slices(
        texts, series, series, series, series, numbers, labels, numbers, (2, 2), None, pixels
    )
    monkeypatch.setattr("fl_jax.data.slices.load", lambda data_dir: slices)
    thumbnails = dataset_thumbnails("anywhere")(["a", "unknown", "c"])
    assert {name: hu.tolist() for name, hu in thumbnails.items()} == {
        "a": pixels[[0, 1, 2]].tolist(),
        "c": pixels[[0, 0, 1]].tolist(),  # the series begins here
    }


def test_a_folder_of_the_users_is_not_overwritten(copy):
    (copy / ".fl_jax-workdir").unlink()
    (copy / "report.html").write_text("theirs")
    with pytest.raises(ValueError, match=f"^{copy} has files, but no marker that fl_jax made it"):
        build(Workdir(copy), resamples=2)
    assert (copy / "report.html").read_text() == "theirs"
    assert not (copy / "results.json").exists()
