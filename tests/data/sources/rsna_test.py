"""The RSNA challenge's folder: known faults are counted, others raise an error that names the place."""

import pathlib

import make_rsna
import pytest

from fl_jax.core.types import LABELS
from fl_jax.data import sources
from fl_jax.data.sources.rsna import read_long

A, B = "ID_00000000a", "ID_00000000b"


def listing(folder: pathlib.Path, rows, files=(f"{A}.dcm", f"{B}.dcm")):
    (folder / "stage_2_train").mkdir()
    for file in files:
        (folder / "stage_2_train" / file).write_bytes(b"x")
    make_rsna.write_table(folder, rows)
    return sources.list_source(folder, layout="rsna")


def test_six_lines_are_one_image(tmp_path):
    listed = listing(tmp_path, make_rsna.lines(B, ["subdural"]) + make_rsna.lines(A))
    path = tmp_path / "stage_2_train"
    assert listed.items == [
        (str(path / f"{A}.dcm"), A, "rsna", (0, 0, 0, 0, 0, 0)),
        (str(path / f"{B}.dcm"), B, "rsna", (1, 0, 0, 0, 0, 1)),
    ]
    assert listed.counts == {
        "rsna": dict.fromkeys(
            ("duplicate_labels", "any_repaired", "labels_without_image", "images_without_label"), 0
        )
    }


def test_each_label_is_its_own(tmp_path):
    names = [f"ID_{n:09x}" for n in range(6)]
    rows = [row for n, name in enumerate(names) for row in make_rsna.lines(name, [LABELS[n]])]
    listed = listing(tmp_path, sorted(rows), [f"{name}.dcm" for name in names])
    for n, item in enumerate(listed.items):
        assert item.labels == tuple(int(k in (0, n)) for k in range(6))


def test_known_faults_are_counted(tmp_path):
    rows = [*make_rsna.lines(A, ["epidural"]), *make_rsna.lines(A, ["epidural"])]
    rows += [row.replace("any,1", "any,0") for row in make_rsna.lines(B, ["subdural"])]
    rows += make_rsna.lines("ID_00000000c")
    listed = listing(tmp_path, rows, [f"{A}.dcm", f"{B}.DCM", "ID_00000000d.dcm", "x.dcm"])
    assert [item.labels for item in listed.items] == [(1, 1, 0, 0, 0, 0), (1, 0, 0, 0, 0, 1)]
    assert listed.counts["rsna"] == {
        "duplicate_labels": 6,
        "any_repaired": 1,
        "labels_without_image": 1,
        "images_without_label": 2,
    }


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"{A}_subdural,1", rf"line 8: {A}_subdural,1 contradicts an earlier line of image '{A}'"),
        (f"{A}_chronic,1", rf"line 8: ID is '{A}_chronic'; it must end in one of _any, "),
        ("subdural,1", "line 8: ID is 'subdural'|image is ''"),
        ("../a_any,1", "image is '../a'.*without a path"),
        (f"{B}_any,2", "line 8: Label is '2'; give 0 or 1"),
        (f"{B}_any,", "line 8: Label is ''"),
        (f"{B}_any,1.0", "line 8: Label is '1.0'"),
        (f"{B}_any", "line 8: 1 values, not 2"),
        (f"{B}_any,1,0", "line 8: 3 values, not 2"),
        (f"{B}_any,1", f"image '{B}' has no line for epidural, .*give {B}_epidural,0 or 1"),
    ],
)
def test_faults_say_where_and_what(tmp_path, row, words):
    with pytest.raises(ValueError, match=words) as error:
        listing(tmp_path, [*make_rsna.lines(A), row])
    assert "stage_2_train.csv" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"ID;Label\n", b"\xff\xfe\x00", b'ID,Label\n"a'])
def test_files_that_are_no_table(tmp_path, content):
    (tmp_path / "stage_2_train.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"stage_2_train\.csv"):
        sources.list_source(tmp_path, layout="rsna")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_text_and_blanks_are_accepted(tmp_path, ends, mark):
    rows = ["ID,Label", "", *make_rsna.lines(A, ["epidural"])]
    rows[2] = f" {A}_epidural , 1 "
    path = tmp_path / "table.csv"
    path.write_bytes((mark + ends.join(rows) + ends).encode())
    assert read_long(path) == ({A: 0b111111_000011}, 0)


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"stage_2_train\.csv is missing"):
        sources.list_source(tmp_path, layout="rsna")
    make_rsna.write_table(tmp_path, make_rsna.lines(A))
    with pytest.raises(ValueError, match="stage_2_train is missing: unpack"):
        sources.list_source(tmp_path, layout="rsna")
    (tmp_path / "stage_2_train").mkdir()
    with pytest.raises(ValueError, match="no image has both a label and a file; see layout 'rsna'"):
        sources.list_source(tmp_path, layout="rsna")


def test_two_files_of_one_image(tmp_path):
    with pytest.raises(ValueError, match=f"dcm is image '{A}', and so is another; keep one"):
        listing(tmp_path, make_rsna.lines(A), [f"{A}.dcm", f"{A}.DCM"])


def test_the_digest_notices_labels_and_files(tmp_path):
    first = listing(tmp_path, make_rsna.lines(A)).digest
    assert sources.list_source(tmp_path, layout="rsna").digest == first
    make_rsna.write_table(tmp_path, make_rsna.lines(A, ["subdural"]))
    second = sources.list_source(tmp_path, layout="rsna").digest
    (tmp_path / "stage_2_train" / f"{A}.dcm").write_bytes(b"xy")
    assert len({first, second, sources.list_source(tmp_path, layout="rsna").digest}) == 3
