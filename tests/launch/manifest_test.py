import json
import shlex
import sys
import time

import pytest

from configs import demo
from launch import experiment as study

ONCE = ("command", "started", "versions", "git", "machine", "seed")


def read(workdir):
    return json.loads((workdir / "manifest.json").read_text())


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["study", "--config.model=resnet(widths=(8,), blocks=(1,))"])
    study.Manifest(tmp_path, demo.get_config())
    return tmp_path


def test_the_command_can_be_typed_again(begun):
    assert shlex.split(read(begun)["command"])[-1] == sys.argv[1]


def test_a_run_that_is_refused_or_trains_nothing_leaves_what_trained(begun, monkeypatch):
    before = read(begun)
    monkeypatch.setattr(sys, "argv", ["study", "--config.seed=5"])
    monkeypatch.setattr(study, "_versions", lambda: {"jax": "9"})
    config = demo.get_config()
    config.seed = config.resamples = 5
    later = study.Manifest(begun, config)
    assert read(begun) == before
    later.describe(config, anew=False)
    assert {name: read(begun)[name] for name in ONCE} == {name: before[name] for name in ONCE}
    assert read(begun)["config"]["resamples"] == 5
    later.describe(config, anew=True)
    assert read(begun)["seed"] == 5
    assert read(begun)["versions"] == {"jax": "9"}
    assert "--config.seed=5" in read(begun)["command"]


def test_stages_add_up_what_was_done(begun):
    manifest = study.Manifest(begun, demo.get_config())

    def work(seconds, worked):
        time.sleep(seconds)
        return worked

    manifest.stage("dataset", lambda: work(0.3, True))
    first = read(begun)["stages"]["dataset"]
    manifest.stage("dataset", lambda: work(0.3, False))
    assert read(begun)["stages"]["dataset"] == first
    study.Manifest(begun, demo.get_config()).stage("dataset", lambda: work(0.3, True))
    assert read(begun)["stages"]["dataset"] >= first + 0.3


def test_a_stage_that_was_cut_off_counts(begun):
    def work():
        time.sleep(0.2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.Manifest(begun, demo.get_config()).stage("training", work)
    assert read(begun)["stages"]["training"] >= 0.2


def test_a_relative_dataset_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = demo.get_config()
    config.data_dir = "prepared"
    study.Manifest(tmp_path, config)
    assert read(tmp_path)["config"]["data_dir"] == str(tmp_path / "prepared")
