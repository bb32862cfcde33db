import csv
import os
import subprocess
import sys
from pathlib import Path

import make_dicom
import make_site
import pytest

from fl_jax.data import dicom, sources
from fl_jax.data.dataset import prepare
from fl_jax.data.deidentify import folder

ROOT = Path(__file__).parents[3]
KEY = bytes(range(32))


@pytest.fixture
def source(tmp_path):
    return make_site.write_cohort(tmp_path / "source", {"north": 2, "south": 2})


def test_sites_are_listed_alike(source, tmp_path):
    done = folder.deidentify_folder(source, tmp_path / "out", KEY)
    assert (done.files, done.patients, done.refused) == (12, 4, {})
    before, after = (sources.list_source(folder) for folder in (source, tmp_path / "out"))
    assert after.counts == before.counts
    named = {folder.image_name(KEY, item.image): item for item in before.items}
    for item in after.items:
        assert (item.site, item.labels) == (named[item.image].site, named[item.image].labels)
        slices = [dicom.read(path, size=None) for path in (item.path, named[item.image].path)]
        assert (slices[0].hu == slices[1].hu).all()


def test_names_of_files_and_columns_tell_nothing(source, tmp_path):
    site = source / "north" / "input"
    (site / "data" / "Huber_Anna_1951.dcm").write_bytes(make_dicom.ct(PatientID="north-9"))
    with (site / "labels.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["Huber_Anna_1951", 1, 1, 0, 0, 0, 0, "seen by Dr. Meier"])
    folder.deidentify_folder(source, tmp_path / "out", KEY)
    written = "".join(
        f"{path} {path.read_bytes()!r}" for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    for planted in ("Huber", "Meier", "north-9", "all_diagnoses", "ID_north_0_0"):
        assert planted not in written


def test_refused_images_lose_their_labels_too(source, tmp_path):
    path = source / "north" / "input" / "data" / "ID_north_0_0.dcm"
    path.write_bytes(make_dicom.ct(BurnedInAnnotation="YES"))
    done = folder.deidentify_folder(source, tmp_path / "out", KEY)
    assert done.refused == {"burned-in annotation": [str(path)]}
    labels, _ = sources.read_labels(tmp_path / "out" / "north" / "input" / "labels.csv")
    assert len(labels) == 5


def test_a_folder_of_any_shape(tmp_path):
    (tmp_path / "in" / "Huber, Anna").mkdir(parents=True)
    for number in range(2):
        data = make_dicom.ct(SOPInstanceUID=f"1.2.{number}")
        (tmp_path / "in" / "Huber, Anna" / f"{number}").write_bytes(data)
    (tmp_path / "in" / "readme.txt").write_text("hello")
    (tmp_path / "in" / ".Trash-1000").mkdir()
    (tmp_path / "in" / ".Trash-1000" / "1").write_bytes(make_dicom.ct(SOPInstanceUID="1.3"))
    done = folder.deidentify_folder(tmp_path / "in", tmp_path / "out", KEY, layout="folder")
    assert (done.files, done.patients) == (2, 1)
    assert list(done.refused) == ["not a DICOM image"]
    assert len(list((tmp_path / "out").glob("2.25.*/2.25.*.dcm"))) == 2


def test_files_of_different_folders_may_be_called_alike_and_copies_are_refused(tmp_path):
    for name, image in (("A", "1.2.1"), ("B", "1.2.2"), ("C", "1.2.2")):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "I10").write_bytes(make_dicom.ct(SOPInstanceUID=image))
    done = folder.deidentify_folder(tmp_path / "in", tmp_path / "out", KEY, layout="folder")
    assert done.files == len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert done.refused == {"another image has its name": [str(tmp_path / "in" / "C" / "I10")]}


def test_a_file_that_cannot_be_read_is_counted_and_the_rest_exported(source, tmp_path):
    data = source / "north" / "input" / "data"
    os.mkfifo(data / "fifo.dcm")
    (data / "folder.dcm").mkdir()
    (data / "broken.dcm").symlink_to("nowhere")
    (tmp_path / "elsewhere").write_bytes(make_dicom.ct())
    (data / "link.dcm").symlink_to(tmp_path / "elsewhere")
    (data / "\udcff.dcm").write_bytes(b"x")
    done = folder.deidentify_folder(source, tmp_path / "out", KEY)
    assert done.files == 12
    names = sorted(Path(path).stem for path in done.refused[folder.UNREADABLE])
    assert names == ["broken", "fifo", "folder", "link"]
    assert len(done.refused["not a DICOM image"]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["north", "south"]


@pytest.mark.parametrize("part", ["", "input", "input/data"])
def test_a_site_that_is_a_link_out_of_the_source(source, tmp_path, part):
    path = source / "north" / part
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"north.*: is a link out of"):
        folder.deidentify_folder(source, tmp_path / "out", KEY)
    assert not (tmp_path / "out").exists()


def test_a_linked_folder_is_counted(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1").write_bytes(make_dicom.ct())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2").write_bytes(make_dicom.ct(SOPInstanceUID="1.2.9"))
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    done = folder.deidentify_folder(tmp_path / "in", tmp_path / "out", KEY, layout="folder")
    assert (done.files, done.refused) == (1, {folder.UNREADABLE: [str(tmp_path / "in" / "more")]})


def test_a_disk_with_nothing_but_files_of_the_system_is_empty(source, tmp_path):
    out = tmp_path / "out"
    (out / "lost+found").mkdir(parents=True)
    (out / ".DS_Store").touch()

    def kill(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.deidentify_folder(source, out, KEY, progress=kill)
    assert folder.deidentify_folder(source, out, KEY).files == 12
    assert {*os.listdir(out)} == {"lost+found", ".DS_Store", "north", "south"}


def test_a_killed_export_starts_over_and_a_finished_one_stays(source, tmp_path):
    out = tmp_path / "out"

    def kill(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.deidentify_folder(source, out, KEY[::-1], progress=kill)
    assert len([*out.rglob("*.dcm")]) == 7
    assert folder.deidentify_folder(source, out, KEY).files == 12
    assert len([*out.rglob("*.dcm")]) == 12
    with pytest.raises(ValueError, match="is not an empty folder"):
        folder.deidentify_folder(source, out, KEY)


def test_two_exports_to_one_folder_do_not_mix(source, tmp_path):
    def other(done, total):
        if done == 3:
            code = f"""
from fl_jax.data.deidentify import folder
folder.deidentify_folder({str(source)!r}, {str(tmp_path / "out")!r}, bytes(32))
"""
            command = [sys.executable, "-c", code]
            ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
            assert "is writing 'deidentify'" in ended.stderr

    assert folder.deidentify_folder(source, tmp_path / "out", KEY, progress=other).files == 12


def test_a_missing_label_table_is_said_before_work_begins(source, tmp_path):
    (source / "south" / "input" / "labels.csv").unlink()
    with pytest.raises(ValueError, match=r"labels\.csv is missing"):
        folder.deidentify_folder(source, tmp_path / "out", KEY)
    assert not (tmp_path / "out").exists()


def test_datasets_accept_an_exported_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "I10").write_bytes(make_dicom.ct())
    folder.deidentify_folder(tmp_path / "in", tmp_path / "out", KEY, layout="folder")
    data = tmp_path / "data"
    prepare(tmp_path / "out", layout="loose", data_dir=data, image_size=8, workers=0)


def test_folders_that_will_not_do_are_refused(source, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for given, out, message in (
        (source, source / "out", "is inside source"),
        (source, tmp_path / "full", "is not an empty folder"),
        (source, source, "is inside source"),
        (source, tmp_path, "is inside out"),
        (tmp_path / "none", tmp_path / "out", "which is not a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            folder.deidentify_folder(given, out, KEY)
    with pytest.raises(ValueError, match="layout is 'tree': give one of sites, folder"):
        folder.deidentify_folder(source, tmp_path / "out", KEY, layout="tree")


def test_keys(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(ValueError, match="which is not a file: make one with"):
        folder.read_key(path)
    path.write_bytes(KEY)
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        folder.read_key(path)
    path.chmod(0o600)
    assert folder.read_key(path) == KEY
    path.write_bytes(bytes(folder.KEY_LIMIT + 1))
    with pytest.raises(ValueError, match="at most 65536 are read"):
        folder.read_key(path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="which is not a file"):
        folder.read_key(tmp_path / "fifo")
    path.write_bytes(b"A" * 44)
    with pytest.raises(ValueError, match=r"has 1 different bytes, .*urandom"):
        folder.read_key(path)
    path.write_bytes(KEY[:9])
    with pytest.raises(ValueError, match="has 9 bytes, 32 are needed"):
        folder.read_key(path)


def test_the_program(source, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)

    def program(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "launch.deidentify", f"--source={source}", *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    done = program(f"--out={tmp_path / 'out'}", f"--key={key}")
    assert done.returncode == 0, done.stderr
    assert "12 files of 4 patients" in done.stdout
    refused = program(f"--out={tmp_path / 'other'}", f"--key={tmp_path / 'none'}")
    assert refused.returncode == 1
    assert "make one with" in refused.stderr
    assert "Traceback" not in refused.stderr
