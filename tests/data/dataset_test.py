"""The dataset holds what the files hold, is built once, and is never taken for whole when it is not."""

import errno
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from typing import Any

import make_dicom
import make_site
import make_summary
import numpy as np
import pydicom
import pytest
import tensorflow_datasets as tfds
from turn_dicom import TURNS, turned

from fl_jax.data import dicom, index, metadata, records
from fl_jax.data.adjacent import neighbours
from fl_jax.data.counts import TooManyRefusedError
from fl_jax.data.dataset import prepare
from fl_jax.data.dicom import parallel
from fl_jax.data.metadata import read_summary
from fl_jax.data.slices import load

MARKS = (".fl_jax-dataset", ".locks")
SITES = {"alpha": 4, "beta": 3, "holdout": 2}


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory):
    return make_site.write_cohort(tmp_path_factory.mktemp("cohort"), SITES)


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(source, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    prepare(source, data_dir=data_dir, image_size=16, workers=0)
    return data_dir


@pytest.fixture(name="copy")
def _copy(source, tmp_path):
    """A private copy of the source, to damage."""
    return pathlib.Path(shutil.copytree(source, tmp_path / "source"))


def build(source, data_dir, **options):
    given: dict[str, Any] = {"image_size": 16, "workers": 0} | options
    return prepare(source, data_dir=data_dir, **given)


def test_slices_are_the_files(source, data_dir):
    slices = load(data_dir)
    assert len(slices) == 27
    paths = {path.stem: path for path in source.rglob("*.dcm")}
    assert sorted(slices.image.tolist()) == sorted(paths)
    pixels = slices.hu(np.arange(27))
    assert (pixels.dtype, pixels.shape) == (np.int16, (27, 16, 16))
    names = {"patient": set(), "study": set(), "series": set()}
    for row, image in enumerate(slices.image.tolist()):
        read = dicom.read(paths[image], size=16)
        assert isinstance(read, dicom.Slice)
        np.testing.assert_array_equal(pixels[row], read.hu)
        for name, numbers in names.items():
            numbers.add((getattr(read, name), str(getattr(slices, name)[row])))
        assert slices.site[row] == paths[image].parents[2].name
        assert slices.position[row] == pytest.approx(read.position)
        assert slices.thickness[row] == read.thickness
        side = max(n * mm for n, mm in zip(read.shape, read.spacing, strict=True))
        assert slices.pixel_mm[row] == pytest.approx(side / 16)
    for numbers in names.values():  # one for one, in the same order
        originals, numbered = zip(*sorted(numbers), strict=True)
        assert sorted(set(originals)) == [*originals]
        assert sorted(set(numbered)) == [*numbered]


def test_labels_are_the_tables(source, data_dir):
    slices = load(data_dir)
    lines = (source / "alpha" / "input" / "labels.csv").read_text().splitlines()[1:]
    table = {line.split(",")[0]: [int(v) for v in line.split(",")[1:7]] for line in lines}
    for image, labels in zip(slices.image.tolist(), slices.labels, strict=True):
        if image in table:
            assert labels.tolist() == table[image]
    assert slices.labels.dtype == np.int8


def test_rows_in_any_order_on_disk_and_in_memory(data_dir):
    slices = load(data_dir)
    loaded = slices.in_memory()
    rows = np.array([5, 0, 26, 5])
    np.testing.assert_array_equal(slices.hu(rows), loaded.hu(rows))
    np.testing.assert_array_equal(loaded.hu(rows)[0], loaded.hu(rows)[3])
    assert slices.hu(np.zeros(0, int)).shape == (0, 16, 16)
    assert slices.pixels is None
    assert loaded.in_memory() is loaded


def test_summary(data_dir):
    summary = read_summary(data_dir)
    assert summary is not None
    assert summary["refused"] == 0
    assert {site: counts["patients"] for site, counts in summary["sites"].items()} == SITES
    alpha = summary["sites"]["alpha"]
    assert (alpha["studies"], alpha["slices"]) == (4, 12)
    slices = load(data_dir)
    assert (
        list(alpha["positives"].values()) == slices.labels[slices.site == "alpha"].sum(0).tolist()
    )


def test_workers_change_nothing(source, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "CHUNK", 4)
    calls = []
    build(source, tmp_path, workers=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 27) for n in range(1, 28)]
    one, two = load(data_dir), load(tmp_path)
    np.testing.assert_array_equal(one.hu(np.arange(27)), two.hu(np.arange(27)))
    index = pathlib.Path("slices", "index.csv")
    assert (data_dir / index).read_bytes() == (tmp_path / index).read_bytes()


def test_records_stay_in_order_over_many_shards(source, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SHARD_BYTES", 16 * 16 * 2 * 5)
    monkeypatch.setattr(records, "CHUNK", 4)
    build(source, tmp_path)
    assert len([*tmp_path.glob("slices/ct_slices-slices.array_record-*")]) == 6  # 27 of 5 each
    one, two = load(data_dir), load(tmp_path)
    np.testing.assert_array_equal(one.hu(np.arange(27)), two.hu(np.arange(27)))


def test_tfds_opens_the_dataset(data_dir):
    opened = tfds.builder_from_directory(data_dir / "slices").as_data_source("slices")
    slices = load(data_dir)
    assert [record["image"].decode() for record in opened] == slices.image.tolist()
    np.testing.assert_array_equal(opened[26]["hu"], slices.hu(np.array(26)))
    np.testing.assert_array_equal(opened[26]["labels"], slices.labels[26])


def test_no_file_of_a_dataset_names_code_that_is_imported(data_dir, tmp_path):
    copied = shutil.copytree(data_dir, tmp_path / "data")
    features = copied / "slices" / "features.json"
    text = features.read_text()
    assert text.count("tensorflow_datasets.core.features.text_feature.Text") == 1
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Text: pass\n")
    features.write_text(
        text.replace("tensorflow_datasets.core.features.text_feature.Text", "evil.Text")
    )
    make_summary.reseal(copied)
    code = "import sys; from fl_jax.data.slices import load; print(len(load(sys.argv[1])))"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    }
    done = subprocess.run(
        [sys.executable, "-c", code, copied], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "27", done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_complete_dataset_is_left_alone(source, tmp_path, monkeypatch):
    first = build(source, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(dicom, "read_all", lambda *_, **__: pytest.fail("read again"))
        assert build(source, tmp_path) == first
    assert build(source, tmp_path, image_size=8) != first
    assert load(tmp_path).image_shape == (8, 8)


def test_a_changed_source_is_noticed(copy, tmp_path):
    build(copy, tmp_path / "data")
    path = next(copy.rglob("*.dcm"))
    path.write_bytes(make_dicom.ct(make_dicom.disc(brain=77), PatientID="alpha-9"))
    said = []
    build(copy, tmp_path / "data", say=said.append)
    assert said == [f"{tmp_path / 'data'}: the source has changed: built anew"]
    slices = load(tmp_path / "data")
    moved = slices.patient[slices.image == path.stem]
    assert (slices.patient == moved[0]).sum() == 1


def test_what_a_dataset_was_built_from_is_compared_and_said(source, tmp_path):
    said = []
    summary = build(source, tmp_path, say=said.append)
    assert summary["options"] == {
        "layout": "sites",
        "image_size": 16,
        "repairs": ["INVERTED", "LOSSY", "PADDING", "PAD_BYTE", "SIGN", "TURNED", "WRAPAROUND"],
        "spacing_mm": 0.0,
    }
    assert {"fl_jax", "pydicom"} < set(summary["versions"])
    build(source, tmp_path, say=said.append)
    assert said == []
    build(source, tmp_path, image_size=8, say=said.append)
    assert said.pop() == f"{tmp_path}: image_size was 16, is 8: built anew"
    make_summary.reseal(tmp_path, versions=summary["versions"] | {"pydicom": "1.0"})
    assert build(source, tmp_path, image_size=8, say=said.append) == read_summary(tmp_path)
    assert said.pop().endswith(
        f"pydicom was 1.0, is {summary['versions']['pydicom']}: kept; "
        "remove the folder to build it anew"
    )


@pytest.mark.parametrize("after", [1, 13, 26])
def test_a_build_that_dies_leaves_no_dataset(source, tmp_path, after):
    class Killed(BaseException):
        pass

    def kill(done, total):
        if done == after:
            raise Killed

    with pytest.raises(Killed):
        build(source, tmp_path, progress=kill)
    with pytest.raises(FileNotFoundError, match=r"no complete dataset.*prepare_data"):
        load(tmp_path)
    build(source, tmp_path)
    assert len(load(tmp_path)) == 27
    assert {path.name for path in tmp_path.iterdir()} == {
        *MARKS,
        "refused.csv",
        "slices",
        "summary.json",
    }


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("reading", {"building"}),  # some records are written
        ("slices", {"building"}),  # all are, and nothing is in place
        ("data/summary.json", {"slices", "refused.csv"}),
    ],
)
def test_killed_without_a_chance_to_tidy_up(source, tmp_path, moment, left):
    code = (
        "import os, signal, sys; from fl_jax.data.dataset import prepare\n"
        "moment, move = sys.argv[3], os.replace\n"
        "def kill(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def replace(a, b): kill() if str(b).endswith('/' + moment) else move(a, b)\n"
        "os.replace = replace\n"
        "tick = lambda done, total: moment == 'reading' and done == 20 and kill()\n"
        "prepare(sys.argv[1], data_dir=sys.argv[2], image_size=16, workers=0,\n"
        "                progress=tick)"
    )
    data = tmp_path / "data"
    run = subprocess.run([sys.executable, "-c", code, source, data, moment], check=False)
    assert run.returncode == -signal.SIGKILL
    assert {path.name for path in data.iterdir()} == left | {*MARKS}
    with pytest.raises(FileNotFoundError, match="no complete dataset"):
        load(data)
    build(source, data)
    slices = load(data)
    assert len(slices.in_memory()) == 27
    assert not (data / "building").exists()


def test_a_failed_rebuild_keeps_the_old_dataset(source, tmp_path):
    summary = build(source, tmp_path)

    def fail(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(source, tmp_path, image_size=8, progress=fail)
    assert load(tmp_path).image_shape == (16, 16)
    assert metadata.damage(tmp_path, summary, shards=True) == ""


def test_a_full_disk_is_named_and_leaves_the_old_dataset(source, tmp_path):
    summary = build(source, tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1000, 20_000, 200_000):  # of features.json, index.csv, the records
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError, match="File too large") as raised:
                build(source, tmp_path, image_size=256)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert raised.value.errno == errno.EFBIG
        assert str(tmp_path / "building") in str(raised.value.filename)
        assert metadata.damage(tmp_path, summary, shards=True) == ""
        assert not (tmp_path / "building").exists()


# --- whose folders and files are replaced


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["slices/a.txt", "building/a.txt", "refused.csv", "summary.json"])
def test_a_folder_of_the_users_is_left_alone(source, tmp_path, name):
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match="has files, but no marker"):
        build(source, tmp_path)
    assert contents(tmp_path) == {mine: b"mine"}


@pytest.mark.parametrize("folder", ["slices", "building"])
@pytest.mark.parametrize("late", [False, True])
def test_a_file_of_the_users_among_ours_is_left_alone(copy, tmp_path, folder, late):
    data = tmp_path / "data"
    summary = build(copy, data)
    mine = data / folder / "a.txt"

    def put(done, total):
        if done == total or not late:
            mine.parent.mkdir(exist_ok=True)
            mine.write_text("mine")

    if not late:
        put(0, 0)
    with pytest.raises(ValueError, match=r"a\.txt is not of fl_jax, but .* move it"):
        build(copy, data, image_size=8, progress=put if late else None)
    assert metadata.damage(data, summary, shards=True) == ""
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("source_name", "data_name"),
    [("s", "s"), ("s", "s/alpha/input"), ("d/slices", "d"), ("d/building", "d"), ("s", "link")],
)
def test_source_and_dataset_are_apart(copy, tmp_path, source_name, data_name):
    root = tmp_path / "root"
    (root / source_name).parent.mkdir(parents=True)
    source = copy.rename(root / source_name)
    (source / "alpha").rename(source / "building")
    (root / "link").symlink_to(source)
    before = contents(root)
    with pytest.raises(ValueError, match=r"data_dir is .* give a data_dir outside of the source"):
        build(source, root / data_name)
    assert contents(root) == before


def test_only_one_process_builds(source, tmp_path):
    code = (
        "import sys; from fl_jax.data.dataset import prepare\n"
        "prepare(sys.argv[1], data_dir=sys.argv[2], image_size=16, workers=0)"
    )

    def other(done, total):
        if done == 5:
            command = [sys.executable, "-c", code, source, tmp_path]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            assert f"process {os.getpid()} is writing 'dataset'" in run.stderr.splitlines()[-1]

    build(source, tmp_path, progress=other)
    assert len(load(tmp_path).in_memory()) == 27


@pytest.mark.parametrize("change", [pathlib.Path.unlink, pathlib.Path.touch])
def test_a_source_that_changes_meanwhile_is_refused(copy, tmp_path, change):
    path = next(copy.rglob("*.dcm"))
    with pytest.raises(ValueError, match="the source changed while it was read"):
        build(copy, tmp_path / "data", progress=lambda done, total: done == 27 and change(path))
    assert read_summary(tmp_path / "data") is None


def test_a_patients_id_in_a_files_name_is_refused_before_the_first_record(copy, tmp_path):
    folder = copy / "holdout" / "input"  # read last
    (folder / "data" / "ID_holdout_1_2.dcm").rename(folder / "data" / "holdout-1.dcm")
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("ID_holdout_1_2,", "holdout-1,"))
    done = []
    said = r"\[PatientID\]\.dcm: the file's name contains its Patient ID"
    with pytest.raises(ValueError, match=said) as raised:
        build(copy, tmp_path / "data", progress=lambda *count: done.append(count))
    assert "holdout-1" not in str(raised.value)
    assert done == []


def test_another_version_is_refused_and_rebuilt(source, tmp_path):
    summary = build(source, tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"version": "0.9.0"}))
    with pytest.raises(ValueError, match=r"version 0.9.0"):
        load(tmp_path)
    assert build(source, tmp_path) == summary


# --- refusals, repairs and counts


def spoil(copy, site, count):
    paths = sorted((copy / site / "input" / "data").glob("*.dcm"))[:count]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-10])
    return paths


def test_refused_files_are_counted_by_reason_and_left_out(copy, tmp_path):
    paths = spoil(copy, "beta", 2)
    summary = build(copy, tmp_path / "data", max_refused=0.1)
    assert summary["refused"] == pytest.approx(2 / 27)
    assert summary["sites"]["beta"]["refused"] == {"truncated": 2}
    assert summary["sites"]["beta"]["slices"] == 7
    assert not set(load(tmp_path / "data").image) & {path.stem for path in paths}
    listed = (tmp_path / "data" / "refused.csv").read_text().splitlines()
    assert len(listed) == 3
    assert listed[1].startswith(f"beta,{paths[0]},truncated,")


def test_a_stricter_limit_is_applied_to_what_is_there(copy, tmp_path):
    spoil(copy, "beta", 2)
    first = build(copy, tmp_path / "data", max_refused=0.1)
    assert build(copy, tmp_path / "data", max_refused=0.5) == first
    with pytest.raises(TooManyRefusedError, match="2 of 27"):
        build(copy, tmp_path / "data", max_refused=0.05)


def test_too_many_refused_names_the_worst_reason_and_files(copy, tmp_path):
    paths = spoil(copy, "beta", 3)
    with pytest.raises(TooManyRefusedError) as error:
        build(copy, tmp_path / "data")
    for words in ("3 of 27", "max_refused", "truncated", str(paths[0]), "1142 of 1152 pixel bytes"):
        assert words in str(error.value)
    assert read_summary(tmp_path / "data") is None
    assert len((tmp_path / "data" / "refused_failed.csv").read_text().splitlines()) == 4
    build(copy, tmp_path / "data", max_refused=0.2)
    assert not (tmp_path / "data" / "refused_failed.csv").exists()


def test_every_file_refused(copy, tmp_path):
    for site in SITES:
        spoil(copy, site, 99)
    with pytest.raises(ValueError, match="no file of 27 could be read; most often as 'truncated'"):
        build(copy, tmp_path / "data", max_refused=1.0)


def test_repairs_and_left_out_are_in_the_summary(copy, tmp_path):
    data = copy / "beta" / "input" / "data"
    hu = np.maximum(make_dicom.disc(), -1500)
    hu[0] = -2000
    (data / "ID_beta_0_0.dcm").write_bytes(make_dicom.ct(hu, PatientID="beta-0"))
    (data / "stray.dcm").write_bytes(b"x")
    (data / "ID_beta_0_1.dcm").unlink()
    beta = build(copy, tmp_path / "data")["sites"]["beta"]
    assert beta["repairs"] == {"padding clipped to air": 1}
    assert (beta["images_without_label"], beta["labels_without_image"]) == (1, 1)


def test_a_series_in_mixed_orientations_is_one_stack_and_counted(tmp_path):
    folder = make_site.write_site(tmp_path / "source", "alpha", patients=1, slices=8)
    build(tmp_path / "source", tmp_path / "plain")
    for path, turn in zip(sorted((folder / "data").glob("*.dcm")), TURNS, strict=True):
        turned(pydicom.dcmread(path), *turn).save_as(path)
    summary = build(tmp_path / "source", tmp_path / "turned")
    assert summary["sites"]["alpha"]["repairs"] == {"turned to radiological orientation": 7}
    plain, mixed = load(tmp_path / "plain"), load(tmp_path / "turned")
    np.testing.assert_array_equal(mixed.hu(np.arange(8)), plain.hu(np.arange(8)))
    np.testing.assert_array_equal(mixed.position, plain.position)
    np.testing.assert_array_equal(neighbours(mixed), neighbours(plain))
    assert neighbours(mixed)[3].tolist() == [2, 3, 4]


def test_a_series_in_two_planes_is_two(tmp_path):
    folder = make_site.write_site(tmp_path / "source", "alpha", patients=1, slices=8)
    for path in sorted((folder / "data").glob("*.dcm"))[4:]:
        ds = pydicom.dcmread(path)
        ds.ImageOrientationPatient = ["1", "0", "0", "0", "0.948324", "-0.317305"]
        ds.save_as(path)
    summary = build(tmp_path / "source", tmp_path / "data")
    slices = load(tmp_path / "data")
    # Along their normal the upper slices lie at -18 to -4 mm, among the lower ones by their numbers.
    assert slices.series.tolist() == ["series1"] * 4 + ["series2"] * 4
    assert neighbours(slices)[:, [0, 2]].tolist() == [
        *([0, 1], [0, 2], [1, 3], [2, 3]),
        *([4, 5], [4, 6], [5, 7], [6, 7]),
    ]
    assert summary["sites"]["alpha"]["studies"] == 1


def test_a_patient_at_two_sites_is_named_by_its_files(copy, tmp_path):
    path = sorted((copy / "beta" / "input" / "data").glob("*.dcm"))[0]
    path.write_bytes(make_dicom.ct(PatientID="alpha-0"))
    words = "at site 'beta' have the same Patient ID .7 characters"
    with pytest.raises(ValueError, match=words) as error:
        build(copy, tmp_path / "data")
    assert str(path) in str(error.value)
    assert "alpha-0" not in str(error.value)
    assert read_summary(tmp_path / "data") is None


@pytest.mark.parametrize("readable", [True, False])
def test_a_file_named_by_its_patient_id_is_found_without_it(copy, tmp_path, readable):
    folder = copy / "beta" / "input" / "data"
    header = {} if readable else {"Modality": "MR"}
    (folder / "MRN-7741_3.dcm").write_bytes(make_dicom.ct(PatientID="mrn-7741", **header))
    with (copy / "beta" / "input" / "labels.csv").open("a") as file:
        file.write("MRN-7741_3,0,0,0,0,0,0,\n")
    words = (
        r"\[PatientID\]_3.dcm: the file's name" if readable else r"\[PatientID\]_3.dcm \(Modality"
    )
    with pytest.raises(ValueError, match=words) as error:
        build(copy, tmp_path / "data", max_refused=0)
    refused = "".join(path.read_text() for path in (tmp_path / "data").glob("refused*.csv"))
    assert "7741" not in str(error.value) + refused


@pytest.mark.parametrize(
    "option", [{"max_refused": 1.5}, {"max_refused": -0.1}, {"image_size": 0}, {"workers": -1}]
)
def test_bad_options_are_named(source, tmp_path, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        build(source, tmp_path, **option)


# --- promises of the library


def test_offline_and_silent(source, tmp_path, monkeypatch, capfd):
    def refuse(*args):
        raise AssertionError(f"tried to connect: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    build(source, tmp_path)
    load(tmp_path).in_memory()
    assert capfd.readouterr() == ("", "")


def test_opening_needs_neither_tensorflow_nor_pydicom(data_dir):
    code = (
        "import sys; from fl_jax.data import slices\n"
        "s = slices.load(sys.argv[1]); s.in_memory()\n"
        "print([m for m in ('tensorflow', 'pydicom') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, data_dir], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_index_has_every_fact(data_dir):
    columns = index.read_index(data_dir / "slices" / "index.csv")
    assert set(columns) == set(index.COLUMNS)
    assert set(columns["bits_stored"]) == {"16"}
    assert set(columns["rows"]) == {"24"}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("slices/index.csv", ",0,0,0,0,0,0\n", ",1,0,0,0,0,0\n", "index.csv has changed since"),
        ("slices/duplicates.csv", "site\n", "site\nx,y,z,a\n", "duplicates.csv has 34 bytes"),
        ("refused.csv", "site,", "sites,", "refused.csv has 25 bytes, was built with 24"),
        ("slices/features.json", "FeaturesDict", "FeaturesDicu", "features.json has changed"),
        ("slices/dataset_info.json", "ct_slices", "ct_slicez", "dataset_info.json has changed"),
        ("summary.json", '"patients": 4', '"patients": 5', "summary.json: has changed .* seal"),
        ("summary.json", '"image_size": 16', '"image_size": "16"', "options.image_size is '16'"),
        ("summary.json", '"sites": {', '"site": {', "missing required field `sites`"),
        ("summary.json", '"alpha"', '"../a"', r"sites has '../a', which is no site's name"),
        ("summary.json", '"slices/index.csv"', '"/etc/passwd"', "does not list a dataset's files"),
    ],
)
def test_a_changed_file_is_refused_and_built_anew(source, data_dir, tmp_path, name, old, new, said):
    copied = shutil.copytree(data_dir, tmp_path / "data")
    text = (copied / name).read_text()
    assert old in text
    (copied / name).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"{said}.*; build the dataset anew with launch"):
        load(copied)
    reasons = []
    build(source, copied, say=reasons.append)
    assert len(reasons) == 1
    assert re.search(f"{said}.*: built anew", reasons[0])
    assert (copied / name).read_text() == text


@pytest.mark.parametrize("name", [*metadata.FILES, "slices/ct_slices-slices.array_record-00000"])
def test_a_missing_file_is_refused_and_built_anew(source, data_dir, tmp_path, name):
    copied = shutil.copytree(data_dir, tmp_path / "data")
    (copied / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing; build the dataset anew"):
        load(copied)
    build(source, copied)
    assert len(load(copied)) == 27


def test_a_size_that_is_not_the_records_is_refused(data_dir, tmp_path):
    copied = shutil.copytree(data_dir, tmp_path / "data")
    options = json.loads((copied / "summary.json").read_text())["options"]
    make_summary.reseal(copied, options=options | {"image_size": 8})
    with pytest.raises(ValueError, match=r"slices: .*; build the dataset anew"):
        load(copied)


@pytest.mark.parametrize(
    "spoil_shard",
    [
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name(path.name.replace("00000", "00001"))),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b"x" * path.stat().st_size),
    ],
)
def test_a_missing_or_damaged_shard_is_refused(source, data_dir, tmp_path, spoil_shard):
    copied = shutil.copytree(data_dir, tmp_path / "data")
    spoil_shard(next(copied.glob("slices/*array_record*")))
    with pytest.raises(ValueError, match=r"data.*build the dataset anew"):
        load(copied)
    assert len(build(source, copied)["sites"]) == 3
    assert len(load(copied)) == 27


def test_tables_are_checked_beside_their_digests(data_dir, tmp_path):
    copied = shutil.copytree(data_dir, tmp_path / "data")
    table, copies = (copied / "slices" / f"{name}.csv" for name in ("index", "duplicates"))
    text = table.read_text()
    for spoilt, said in (
        (text.rpartition("ID_")[0], "27 records but 26 rows"),
        (text.replace("image,", "images,", 1), "index.csv, line 1: the first line must be"),
        (text.replace(",0,0,0,0,0,0\n", ",0,0,0,0,0,1\n", 1), "any is '0': a subtype is 1"),
        (text.replace(",0,0,0,0,0,0\n", ",,0,0,0,0,0\n", 1), "any is '': a label is missing"),
    ):
        table.write_text(spoilt)
        make_summary.reseal(copied)
        with pytest.raises(ValueError, match=said):
            load(copied)
    table.write_text(text)
    head = copies.read_text()
    for rows, said in (
        (
            f"{1:032x},x,p1,a\n{1:032x},y,p1,a\n",
            "duplicates.csv: image, patient and site .*'x'.* are not",
        ),
        (f"{1:032x},x,p1,a\n" * 2, "is there twice"),
    ):
        copies.write_text(head + rows)
        make_summary.reseal(copied)
        with pytest.raises(ValueError, match=said):
            load(copied)
