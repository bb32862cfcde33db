"""The training scans' ranges are measured once, on training patients only, and kept with the arm."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import make_summary
import numpy as np
import pytest
from domain_heads import PIXEL, head, scans

from fl_jax.data import domain, partition
from fl_jax.experiment import training_domain
from fl_jax.experiment.reporter import Reporter
from fl_jax.files.regular import sha256
from fl_jax.workdir import Workdir


@pytest.fixture(name="trained")
def _trained(tmp_path, monkeypatch):
    """A workdir with ten patients at two sites, and the model that was trained on seven of them."""
    slices = scans(*(head(brain=20 + n, seed=n, slices=2) for n in range(10)))
    slices = dataclasses.replace(slices, site=np.repeat(["a", "b"], 10))
    patients = np.array([f"p{n}" for n in range(10)])
    split = np.array(["train"] * 4 + ["test"] + ["train"] * 3 + ["validation", "test"])
    divided = partition.Partition(patients, np.repeat(["a", "b"], 5), split)
    partition.save(divided, tmp_path / "partition.csv")
    (tmp_path / "data").mkdir()
    make_summary.write(tmp_path / "data")
    (tmp_path / "models" / "federated").mkdir(parents=True)
    (tmp_path / "models" / "local_b").mkdir()
    monkeypatch.setattr(training_domain.datasets, "load", lambda _: slices)
    monkeypatch.setattr(domain, "read_extent", lambda *_: extent(len(slices)))
    inputs = {"partition_digest": sha256(tmp_path / "partition.csv")}
    model: Any = SimpleNamespace(name="federated", dataset="d", inputs=inputs)
    return Workdir(tmp_path), model


def extent(n):
    return domain.Extent(np.full(n, 0.42), np.full(n, 216.0), np.full(n, PIXEL))


def test_ranges_are_of_training_patients_and_kept(trained, monkeypatch):
    workdir, model = trained
    found = training_domain.read(workdir, model, Reporter())
    assert (found.studies, found.of) == (7, 7)
    low, high = found.ranges["brain"]
    assert low == pytest.approx(20, abs=0.1)  # p0
    assert high == pytest.approx(27, abs=0.1)  # p7, and neither p8 nor p9
    monkeypatch.setattr(domain, "measure", lambda *_: pytest.fail("measured again"))
    assert training_domain.read(workdir, model, Reporter()) == found
    assert workdir.arm("federated").read_domain() == found


def test_a_local_models_ranges_are_its_sites(trained):
    workdir, model = trained
    model.name = "local_b"
    found = training_domain.read(workdir, model, Reporter())
    assert found.of == 3
    assert found.ranges["brain"][0] == pytest.approx(25, abs=0.1)


def test_another_training_is_measured_again_and_a_lost_dataset_is_unknown(trained):
    workdir, model = trained
    kept = training_domain.read(workdir, model, Reporter())
    model.inputs = {"partition_digest": "other"}
    again = training_domain.read(workdir, model, Reporter())
    assert (again.ranges, again.partition) == (kept.ranges, "other")
    model.dataset = "another"
    assert training_domain.read(workdir, model, Reporter()) is None


def test_a_number_that_no_study_has_has_no_range(trained, monkeypatch):
    workdir, model = trained
    lost = extent(20)._replace(spacing=np.full(20, np.nan))
    monkeypatch.setattr(domain, "read_extent", lambda *_: lost)
    found = training_domain.read(workdir, model, Reporter())
    assert found.ranges["spacing"] is None
    assert found.ranges["field"] == (216, 216)


def test_a_workdir_that_cannot_be_written_is_read_all_the_same(trained, monkeypatch):
    workdir, model = trained

    def full(*_):
        raise OSError("read-only")

    monkeypatch.setattr(type(workdir.arm("federated")), "write_domain", full)
    said = []
    reporter = Reporter()
    reporter.message = said.append
    assert training_domain.read(workdir, model, reporter) is not None
    assert said == ["the training scans' ranges are not kept: read-only"]
