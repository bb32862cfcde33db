"""The program's words: a table at the end, one line where it fails, and no traceback."""

import pathlib
import subprocess
import sys

import make_rsna
import make_site
import pytest
from rich.console import Console

from launch.cli import dataset


def run(*flags):
    command = [sys.executable, "-m", "launch.prepare_data", "--workers=0", *flags]
    root = pathlib.Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory):
    source = make_site.write_cohort(tmp_path_factory.mktemp("cohort"), {"north": 3, "holdout": 2})
    (source / "north" / "input" / "data" / "stray.dcm").write_bytes(b"x")
    return source


def test_a_table_of_what_each_site_holds(source, tmp_path):
    flags = (f"--source={source}", f"--data_dir={tmp_path}", "--image_size=8")
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert "15 of 15 files" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["north", "3", "3", "9"] in [line[:4] for line in lines]
    assert ["all", "5", "5", "15"] in [line[:4] for line in lines]
    assert "image without label" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80  # the last line holds a path
    assert "…" not in done.stdout
    before = (tmp_path / "summary.json").stat().st_mtime_ns
    again = run(*flags)
    assert again.stdout == done.stdout
    assert again.stderr.strip() == "dataset: complete, skipped"
    assert (tmp_path / "summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("workers", [0, 2])
def test_thousands_of_warnings_do_not_reach_the_screen(tmp_path, workers):
    """Identifiers that are no UIDs, VRs and character sets that are wrong: pydicom warns of each, always."""
    source = make_rsna.write_rsna(tmp_path / "rsna", patients=12, slices=1)
    folder = source / "stage_2_train"
    one = (folder / "ID_000000000.dcm").read_bytes()
    odd = (
        (b"\x08\0\x60\0CS", b"\x08\0\x60\0ZZ"),
        (b"\x10\0\x20\0LO", b"\x10\0\x20\0UI"),
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.x\0"),
        (b"\x08\0\x60\0CS\x02\0CT", b"\x08\0\x05\0CS\x02\0??\x08\0\x60\0CS\x02\0CT"),
        (b"MONOCHROME2 ", b"MONOCHROM\xc92 "),
    )
    rows = []
    for number in range(2000 // len(odd) * len(odd)):
        old, new = odd[number % len(odd)]
        assert one.count(old) == 1
        image = f"ID_1{number:08x}"
        (folder / f"{image}.dcm").write_bytes(one.replace(old, new))
        rows += make_rsna.lines(image)
    table = source / "stage_2_train.csv"
    table.write_text(table.read_text() + "".join(row + "\n" for row in rows))
    flags = ("--layout=rsna", "--image_size=8", "--max_refused=1", f"--workers={workers}")
    done = run(f"--source={source}", f"--data_dir={tmp_path / 'data'}", *flags)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["dataset:"], lines


def test_an_error_is_one_line(source, tmp_path):
    path = source / "holdout" / "input" / "data" / "ID_holdout_0_0.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    done = run(f"--source={source}", f"--data_dir={tmp_path}", "--image_size=8")
    path.write_bytes(whole)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for words in ("error: refused 1 of 15 files", "truncated", str(path)):
        assert words in done.stderr.splitlines()[-1]
    assert done.stdout == ""


def test_a_home_folder_and_brackets_in_a_path(source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "source").symlink_to(source)
    done = run("--source=~/source", "--data_dir=~/[/data]", "--image_size=8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"dataset in {tmp_path}/[/data], 8 x 8 pixels"
    assert (tmp_path / "[" / "data]" / "summary.json").exists()


def test_every_count_has_words():
    counts = dict.fromkeys((*dataset.LEFT_OUT, *dataset.SHARED), 2)
    site = {"refused": {"truncated": 1}, "repairs": {"12-bit wraparound": 5}} | counts
    console = Console(width=100)
    with console.capture() as capture:
        console.print(dataset.notes({"sites": {"north": site, "south": site}}))
    text = capture.get()
    for words in (
        "truncated",
        "12-bit wraparound",
        *dataset.LEFT_OUT.values(),
        *dataset.SHARED.values(),
        "north 1, south 1",
    ):
        assert words in text
    nothing = {"refused": {}, "repairs": {}}
    nothing |= dict.fromkeys((*dataset.LEFT_OUT, *dataset.SHARED), 0)
    assert dataset.notes({"sites": {"north": nothing}}) is None
