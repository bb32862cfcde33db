"""The benchmark itself, on cases so small that they say nothing about speed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import pytest

from fl_jax.data.order import example_order
from fl_jax.experiment import machine
from launch import benchmark
from launch.benchmarks import (
    cases,
    evaluation,
    ingest,
    inputs,
    measure,
    models,
    peers,
    table,
)
from launch.benchmarks import (
    rounds as round_suite,
)

ROOT = Path(__file__).parent.parent.parent
TINY = cases.Case("tiny", lambda: cases.images(cases.Mlp(4), 4), [6, 3, 8], 4, several=8)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(cases, "CASES", (TINY,))


def test_the_suite_gives_what_it_promises(tiny, capsys):
    options = SimpleNamespace(cases="", repetitions=2, devices=0)
    result = benchmark.benchmark("round", options)
    json.dumps(result)
    assert set(result["machine"]) == {
        "processor",
        "cores",
        "load",
        "devices",
        "xla_flags",
        "versions",
    }
    (case,) = result["cases"]
    assert (case["case"], case["sites"], case["examples"]) == ("tiny", 3, 17)
    names = ["floor", "vmapped", "mesh", "sequential", "sequential K=8"]  # tests have four devices
    assert sorted(case["measured"]) == sorted(names)
    assert case["default"] in names
    assert case["fastest"] in names
    for line in case["measured"].values():
        assert line["seconds"] > 0
        assert line["spread"][0] <= line["ratio"] <= line["spread"][1]
        assert line["images_per_second"] == pytest.approx(17 / line["seconds"])
        assert line["compile_seconds"] >= 0
        assert line["temporary_bytes"] >= 0
        assert line["state_bytes"] > 0
    printed = capsys.readouterr().out
    assert "fastest" in printed
    assert "the range is the noise" in printed


def test_every_layout_does_the_same_work(tiny):
    """Whatever is measured as a contender ends at the same parameters."""
    from fl_jax.aggregators.weighted_mean import weighted_mean
    from fl_jax.algorithms.fed_avg import fed_avg
    from fl_jax.core import layouts

    job, example = TINY.model()
    batches = cases.batches(TINY, example)
    assert [len(site) for site in batches] == [2, 1, 2]
    assert [batch.mask.sum() for site in batches for batch in site] == [4, 2, 3, 4, 4]
    key = machine.jax.random.key(0)
    algorithm = fed_avg(job.loss, cases.OPTIMIZER, keep_optimizer=True)
    state = layouts.init(algorithm, weighted_mean(), job.init(key), 3, key)
    ends = [
        round_suite._round(layout, state, batches)[0].server.params
        for layout in round_suite.by_layout(algorithm, TINY).values()
    ]
    for end in ends[1:]:
        for a, b in zip(
            machine.jax.tree.leaves(end), machine.jax.tree.leaves(ends[0]), strict=True
        ):
            assert jnp.allclose(a, b, atol=1e-5)


def test_the_ratio_is_to_the_floor_of_the_same_run():
    def busy(seconds):
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass

    measured = measure.compare(lambda: busy(0.01), {"twice": lambda: busy(0.02)}, 5)
    assert list(measured) == ["floor", "twice"]
    assert 1.5 < measured["twice"].processor < 2.5
    assert 0.7 < measured["floor"].processor < 1.4
    hopeless = measure.compare(lambda: busy(0.001), {"ten": lambda: busy(0.01)}, 4)
    assert hopeless["ten"].repetitions == 1


def test_a_table_lines_up():
    lines = table.text("title", ["", "ms"], [["one", "1"], ["two", "22"]]).splitlines()
    assert lines == ["", "title", "     ms", "one  1", "two  22"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: round_suite.run(SimpleNamespace(cases="nothing", repetitions=1, devices=0)),
            "cases='nothing': finds none of",
        ),
        (
            lambda: models.run(SimpleNamespace(models="nothing", repetitions=1, threads=0)),
            "models='nothing': finds none of: demo's ResNet, ResNet-18",
        ),
        (lambda: measure.compare(lambda: 0, {}, 0), "repetitions=0: must be at least 1"),
        (lambda: machine.split(-1), "devices=-1: must be at least 0"),
        (
            lambda: peers.run(
                SimpleNamespace(peers="", task="A", layout="auto", steps_per_call=0, devices=0)
            ),
            "peers='': must be the folder",
        ),
    ],
)
def test_bad_flags_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


COMMON = """
import json, os, time
import numpy as np
LR, MOM = 0.1, 0.9
def task():
    assert os.environ["BENCH_TASK"] == "C"
    return dict(model="mlp", hw=2, sizes=[5, 3], batch=4, rounds=2, images=8)
def client_data(plan, site, nchw):
    r = np.random.RandomState(site)
    x = r.standard_normal((plan["sizes"][site], 2, 2, 3)).astype(np.float32)
    return x, (r.rand(len(x), 6) < 0.3).astype(np.float32)
class Recorder:
    def __init__(self): self.marks = []
    def mark(self): self.marks.append(time.time())
    def save(self, versions, norm=None, **extra):
        with open(os.environ["BENCH_OUT"], "w") as f:
            json.dump(dict(versions=versions, norm=norm, marks=len(self.marks), **extra), f)
"""
MODELS = """
import flax.linen as nn
class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(6)(x.reshape((x.shape[0], -1)))
"""


def test_a_common_task_writes_the_peers_record(tmp_path):
    (tmp_path / "common.py").write_text(COMMON)
    (tmp_path / "flax_models.py").write_text(MODELS)
    record = tmp_path / "record.json"
    flags = ["--suite=peers", "--task=C", f"--peers={tmp_path}", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "launch.benchmark", *flags],
        cwd=ROOT,
        env=os.environ | {"BENCH_OUT": str(record), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    written, found = json.loads(record.read_text()), json.loads(done.stdout)
    assert written["norm"] == found["norm"] > 0
    assert written["marks"] == 3
    assert written["layout"] == found["layout"]
    assert len(found["rounds"]) == 2
    assert "images/s" in done.stderr


@pytest.mark.slow
def test_the_suite_of_inputs_gives_what_it_promises(monkeypatch, capsys):
    for name, value in (("SLICES", 64), ("PIXELS", 16), ("BATCH", 4), ("STEPS", 3)):
        monkeypatch.setattr(inputs, name, value)
    result = benchmark.benchmark("input", SimpleNamespace(repetitions=1, devices=0))
    json.dumps(result)
    assert list(result["measured"]) == [
        *("floor", "memory", "disk", "memory, 3 slices", "disk, 3 slices")
    ]
    for line in result["measured"].values():
        assert 0 < line["waits"] < 1
        assert line["waits_range"][0] <= line["waits"] <= line["waits_range"][1]
        assert line["slices_per_second"] == pytest.approx(12 / line["seconds"])
        assert line["images_per_second"] > 0
    assert "waits %" in capsys.readouterr().out


def test_all_sources_of_inputs_give_the_same_slices(tmp_path, monkeypatch):
    for name, value in (("SLICES", 64), ("PIXELS", 8), ("BATCH", 4), ("STEPS", 3)):
        monkeypatch.setattr(inputs, name, value)
    held = inputs.dataset()
    order = example_order(64, 12, 0, 0, "site")
    wanted = [batch.inputs for batch in inputs.gather(held, order)]
    for name, source in inputs.sources(held, inputs.on_disk(held, tmp_path)).items():
        for batch, pixels in zip(source(), wanted, strict=True):
            assert (batch.inputs[:, 1] if "3" in name else batch.inputs).tolist() == pixels.tolist()


def test_the_suite_of_ingest_gives_what_it_promises(monkeypatch, capsys):
    small = {"FILES": 3, "MANY": 20, "EVERY": 10}
    for name, value in small.items():
        monkeypatch.setattr(ingest, name, value)
    result = benchmark.benchmark("ingest", SimpleNamespace(repetitions=1))
    json.dumps(result)
    assert list(result["measured"]) == ["floor", "fl_jax", "pydicom"]
    for line in result["measured"].values():
        assert line["slices_per_cpu_second"] > 0
    assert len(result["memory_mb"]) == 2
    assert "of the floor's rate" in capsys.readouterr().out


def test_the_suite_of_statistics_gives_what_it_promises(monkeypatch, capsys):
    small = {"SLICES": 3200, "DEPTH": 16, "RESAMPLES": 20, "SCORES": 640}
    for name, value in small.items():
        monkeypatch.setattr(evaluation, name, value)
    result = benchmark.benchmark("statistics", SimpleNamespace())
    json.dumps(result)
    assert [result[name] for name in ("models", "sites", "slices")] == [7, 5, 3200]
    # 40 patients a site, 10 for validation, and 50 for the hold-out.
    assert result["patients"] == 300
    assert len(result["seconds"]) == 5
    assert result["cpu_seconds"].keys() == result["seconds"].keys()
    assert min(result["seconds"].values()) > 0
    assert result["peak_bytes"] > 2**20
    assert "all statistics of the experiment" in capsys.readouterr().out


def test_other_suites_need_neither_tensorflow_nor_what_the_report_does():
    heavy = {
        "tensorflow",
        "tensorflow_datasets",
        "cv2",
        "pydicom",
        "sklearn",
        "jinja2",
        "matplotlib",
    }
    code = (
        "import sys; from launch import benchmark; from launch.benchmarks import peers, rounds, models;"
        f"print(*{heavy} & {{*sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_suite_of_models_gives_what_it_promises(monkeypatch, capsys):
    small = models.Model(
        "small", "resnet(widths=(8, 8), stem=8, patch=2)", ("SmallResNet",), 2, 9, 0.5
    )
    monkeypatch.setattr(models, "MODELS", (small,))
    monkeypatch.setattr(models, "PIXELS", 16)
    monkeypatch.setattr(models, "PRODUCT", {"cpu": 8})
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    options = SimpleNamespace(models="mal", repetitions=1, threads=0)
    result = benchmark.benchmark("models", options)
    json.dumps(result)
    (line,) = result["models"]
    assert (line["batch"], line["published"], result["peer"]) == (2, (9, 0.5), None)
    assert list(line["predict"]) == ["floor", "fl_jax", "matrix product"]
    assert list(line["train"]) == ["floor", "fl_jax", "windows", "matrix product"]
    assert 0 < line["windows_share"] < 1
    ours = line["train"]["fl_jax"]
    assert ours["images_per_second"] == pytest.approx(2 / ours["seconds"])
    printed = capsys.readouterr().out
    assert "no PyTorch" in printed
    assert "counts: 1000 labels" in printed


def test_counts_are_the_papers():
    """Products with padding are in the tables alone, operations on each number in XLA's count alone."""
    for name in ("ResNet-18", "ResNeXt-50 32x4d"):
        (model,) = (m for m in models.MODELS if m.name == name)
        parameters, products = models.counts(model)
        assert parameters == model.parameters
        assert model.products
        assert 0.92 < products / model.products < 1.02


@pytest.mark.parametrize("model", models.MODELS, ids=lambda model: model.name)
def test_the_peer_is_the_same_model(model):
    torch = pytest.importorskip("torch", reason="needs PyTorch, to compare models")
    import torch_models

    name, *arguments = model.peer
    with torch.device("meta"):
        peer = getattr(torch_models, name)(*arguments, labels=6)
    ours = models.count(models.build(model, 6), (1, 64, 64, 3))[0]
    assert ours == sum(p.numel() for p in peer.parameters())
