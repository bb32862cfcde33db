"""The manifest keeps what trained the arms, and adds up the time of each stage."""

import subprocess
import sys

import pytest

from fl_jax.experiment import manifest
from fl_jax.experiment.config import Config
from fl_jax.experiment.manifest import ManifestWriter
from fl_jax.workdir import Workdir

COMMAND = "python -m launch.experiment --config.model='resnet(widths=(8,), blocks=(1,))'"


@pytest.fixture
def workdir(tmp_path):
    ManifestWriter(Workdir(tmp_path), Config(), COMMAND)
    return Workdir(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a stage says so."""
    now = [0.0]
    monkeypatch.setattr(manifest.time, "monotonic", lambda: now[0])
    return now


def test_a_run_that_is_refused_or_trains_nothing_keeps_what_trained(workdir, monkeypatch):
    before = workdir.read_manifest()
    assert before.command == COMMAND
    monkeypatch.setattr(manifest, "_versions", lambda: {"jax": "9"})
    later = ManifestWriter(workdir, Config(seed=5, resamples=5), "another")
    assert workdir.read_manifest() == before
    later.describe(training=False)
    after = workdir.read_manifest()
    for name in ("command", "started", "versions", "git", "machine", "seed"):
        assert getattr(after, name) == getattr(before, name)
    assert after.config["resamples"] == 5
    later.describe(training=True)
    after = workdir.read_manifest()
    assert (after.seed, after.versions, after.command) == (5, {"jax": "9"}, "another")


def test_the_time_of_stages_adds_up(workdir, clock):
    def work(seconds, worked):
        clock[0] += seconds
        return worked

    writer = ManifestWriter(workdir, Config(), COMMAND)
    writer.stage("dataset", lambda: work(0.3, True))
    writer.stage("dataset", lambda: work(0.4, False))
    assert workdir.read_manifest().stages == {"dataset": 0.3}
    ManifestWriter(workdir, Config(), COMMAND).stage("dataset", lambda: work(0.5, True))
    assert workdir.read_manifest().stages == {"dataset": 0.8}


def test_the_cpu_time_of_children_counts(workdir):
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    writer = ManifestWriter(workdir, Config(), COMMAND)
    writer.stage("cohort", lambda: not subprocess.run([sys.executable, "-c", burn]).returncode)
    assert workdir.read_manifest().cpu_seconds["cohort"] >= 0.3
    assert writer.summary(0.0).startswith("CPU-seconds (wall time): cohort 0 (")


def test_an_interrupted_stage_counts(workdir, clock):
    def work():
        clock[0] += 0.2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ManifestWriter(workdir, Config(), COMMAND).stage("training", work)
    assert workdir.read_manifest().stages == {"training": 0.2}


def test_a_relative_dataset_is_recorded_with_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ManifestWriter(Workdir(tmp_path), Config(data_dir="prepared"), COMMAND)
    recorded = Workdir(tmp_path).read_manifest().config["data_dir"]
    assert recorded == str(tmp_path / "prepared")
