"""A cohort is whole, repeatable and the same for any number of workers."""

import csv
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from sphere import draw

from fl_jax.core.types import LABELS
from fl_jax.phantom.cohort import MARKER, make_cohort
from fl_jax.phantom.labels import THRESHOLD
from fl_jax.phantom.sites import SITES

TWO = (SITES[0], SITES[-1])


def build(out, **changes):
    options = {"seed": 5, "sites": TWO, "scale": 0.01, "matrix": 48, "workers": 2, "draw": draw}
    return make_cohort(out, **{**options, **changes})


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "cohort"
    calls = []
    summary = build(out, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 8) for n in range(1, 9)]
    return out, summary


def test_one_worker_writes_the_bytes_of_two(made, tmp_path):
    out, _ = made
    build(tmp_path / "again", workers=1)
    assert digests(tmp_path / "again") == digests(out)


def test_layout_and_labels(made):
    out, summary = made
    names = []
    for site in summary.sites:
        table = rows(out / site.site / "input" / "labels.csv")
        assert list(table[0]) == ["Image", *LABELS, "all_diagnoses"]
        files = {path.stem for path in (out / site.site / "input" / "data").glob("*.dcm")}
        assert [row["Image"] for row in table] == sorted(files)
        assert site.slices == len(files)
        assert site.positives == tuple(sum(int(row[label]) for row in table) for label in LABELS)
        for row in table:
            positive = [label for label in LABELS[1:] if row[label] == "1"]
            assert row["any"] == str(int(bool(positive)))
            assert row["all_diagnoses"] == ";".join(positive)
        names += files
    assert len(names) == len(set(names))
    assert all(name.startswith("ID_") for name in names)


def test_patients_are_whole_and_at_one_site(made):
    out, _ = made
    places = {}
    for path in out.glob("*/input/data/*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        place = (path.parts[-4], ds.StudyInstanceUID, ds.SeriesInstanceUID)
        assert places.setdefault(ds.PatientID, place) == place
    assert len(places) == 8
    truth = rows(out / "truth" / "patients.csv")
    assert {row["patient"]: row["site"] for row in truth} == {p: v[0] for p, v in places.items()}


def test_truth_agrees_with_labels_and_masks(made):
    out, _ = made
    truth = rows(out / "truth" / "slices.csv")
    bleeding = {row["patient"] for row in rows(out / "truth" / "patients.csv") if row["subtypes"]}
    masks = {path.stem: np.load(path) for path in (out / "truth" / "masks").glob("*.npz")}
    assert set(masks) == bleeding
    for row in truth:
        for label in LABELS[1:]:
            called = float(row[f"visible_{label}"]) >= THRESHOLD
            assert (row[label] == "1") == (called != (row[f"flipped_{label}"] == "1"))
            if row["patient"] not in bleeding:
                assert float(row[f"area_{label}"]) == 0
    for patient, mask in masks.items():
        mine = [row for row in truth if row["patient"] == patient]
        assert sorted(mask["images"]) == sorted(row["Image"] for row in mine)
        k = [row["Image"] for row in mine].index(mask["images"][len(mask["images"]) // 2])
        bits = mask["subtypes"][len(mask["images"]) // 2]
        for bit, label in enumerate(LABELS[1:]):
            drawn = float(mine[k][f"area_{label}"])
            assert bool((bits >> bit & 1).any()) == (drawn > 0) or drawn < THRESHOLD


def test_a_complete_cohort_is_recognised_and_another_one_refused(made):
    out, summary = made
    before = digests(out)
    again = build(out)
    assert again.skipped
    assert again.sites == summary.sites
    assert digests(out) == before
    with pytest.raises(FileExistsError, match="other parameters"):
        build(out, seed=6)


def test_a_killed_run_starts_again(made, tmp_path):
    out, _ = made
    target = tmp_path / "killed"

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(target, sites=TWO[:1], progress=stop)
    assert not (target / MARKER).exists()
    data = target / SITES[0].name / "input" / "data"
    (data / "ID_0123456789ab.dcm").write_bytes(b"half")
    mine = data / "thesis.txt"
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"thesis\.txt is not of fl_jax, but .* move it"):
        build(target, sites=TWO[:1])
    mine.unlink()
    build(target, sites=TWO[:1])
    assert digests(target / SITES[0].name) == digests(out / SITES[0].name)


def test_a_strangers_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        ValueError, match="has files, but no marker that fl_jax made it as a cohort"
    ):
        build(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "argument",
    [
        *({"scale": value} for value in (0.0, -1.0, float("nan"), float("inf"), 1e9)),
        *({"workers": 0}, {"matrix": 31}, {"matrix": 10**6}, {"seed": -1}, {"sites": ()}),
        *(
            {"sites": (dataclasses.replace(TWO[0], name=name),)}
            for name in ("truth", "../x", "aux")
        ),
        {"sites": (TWO[0], dataclasses.replace(TWO[0], name=TWO[0].name.upper()))},
    ],
    ids=str,
)
def test_bad_arguments_are_named(tmp_path, argument):
    with pytest.raises(ValueError, match=next(iter(argument)).removesuffix("s")):
        build(tmp_path / "x", **argument)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("pattern", "change", "said"),
    [
        ("university/input/data/*.dcm", Path.unlink, r"site 'university' has \d+ files of"),
        ("holdout/input/data/*.dcm", lambda path: path.write_bytes(b"x"), "site 'holdout' has"),
        ("holdout/input/data", lambda path: (path / "x.dcm").touch(), "site 'holdout' has"),
        ("university/input/data", shutil.rmtree, "site 'university' has 0 files of 0 bytes"),
        ("holdout/input/labels.csv", Path.unlink, r"holdout/input/labels\.csv: is missing or has"),
        (
            "*/input/labels.csv",
            lambda path: path.write_text("Image\n"),
            r"labels\.csv: is missing or",
        ),
        (
            "truth/slices.csv",
            lambda path: path.write_text("Image\n"),
            r"truth/slices\.csv: is missing",
        ),
        ("cohort.json", lambda path: path.write_text("{}"), r"cohort\.json: .* remove its"),
        ("cohort.json", lambda path: path.write_text("[" * 99), r"cohort\.json: .* remove its"),
    ],
)
def test_a_damaged_cohort_is_no_cohort(made, tmp_path, pattern, change, said):
    out = shutil.copytree(made[0], tmp_path / "copy")
    change(next(out.glob(pattern)))
    with pytest.raises(ValueError, match=f"{said}.*and the cohort is drawn anew"):
        build(out)


def test_only_one_process_draws(tmp_path):
    code = (
        "import sys; from fl_jax.phantom.cohort import make_cohort\n"
        "make_cohort(sys.argv[1], seed=6, scale=0.01, matrix=48)"
    )

    def other(done, total):
        if done == 1:
            command = [sys.executable, "-c", code, tmp_path]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            assert f"process {os.getpid()} is writing 'cohort'" in run.stderr.splitlines()[-1]

    build(tmp_path, progress=other)
    assert build(tmp_path).skipped


@pytest.mark.slow
def test_the_second_worker_loads_what_the_first_compiled(tmp_path):
    code = (
        "import sys, threading, jax; from jax import monitoring; from fl_jax.phantom import cohort;"
        "hits = []; monitoring.register_event_listener(lambda name, **_: hits.append(name));"
        "cohort.end_with_parent = lambda: None;"
        "cohort._one_thread(threading.Lock(), sys.argv[1], True);"
        "print(sum('cache_hit' in name for name in hits))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code, tmp_path], env=without_cache(), capture_output=True,
                       text=True, check=True)
        for _ in range(2)
    ]  # fmt: skip
    assert int(runs[0].stdout) == 0
    assert int(runs[1].stdout) >= 5


def without_cache():
    return {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}


def test_workers_stay_off_the_accelerator():
    code = (
        "import jax; from fl_jax.phantom import cohort;"
        "cohort.end_with_parent = lambda: None;"  # this one has no parent
        "cohort._one_thread(None, '', False);"
        "print(jax.config.jax_platforms, jax.default_backend())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["cpu", "cpu"]
