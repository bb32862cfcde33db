"""Reading on several processes goes on when native code ends one of them, and names the file."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import killer
import make_site
import pytest
from make_dicom import ct, disc

from fl_jax.data import dicom
from fl_jax.data.dataset import prepare
from fl_jax.data.dicom import Reason, parallel, shared_memory


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(parallel, "CHUNK", 4)
    monkeypatch.setattr(parallel, "read", killer.read)


def write(folder, names):
    for number, name in enumerate(names):
        (folder / name).write_bytes(ct(disc(brain=20.0 + number, seed=number)))
    return [str(folder / name) for name in names]


@pytest.mark.parametrize("memory_is_shared", [True, False])
def test_files_that_end_their_process_are_refused_and_the_rest_is_read(
    tmp_path, monkeypatch, memory_is_shared
):
    if not memory_is_shared:
        monkeypatch.setattr(shared_memory, "available", lambda: False)
    names = [f"{number:02d}" for number in range(40)]
    names[9], names[30] = "09 killed", "30 segfault"
    paths = write(tmp_path, names)
    reads = [*dicom.read_all(paths, size=16, workers=2)]
    assert len(reads) == 40
    for path, read in zip(paths, reads, strict=True):
        if "killed" in path or "segfault" in path:
            assert isinstance(read, dicom.Refusal)
            assert (read.path, read.reason) == (path, Reason.CRASHED)
        else:
            alone = dicom.read(path, size=16)
            assert isinstance(read, dicom.Slice)
            assert isinstance(alone, dicom.Slice)
            assert read.hu.tolist() == alone.hu.tolist()
            assert repr(read[1:]) == repr(alone[1:])  # as NaN is not NaN
    assert not multiprocessing.active_children()


def test_a_process_that_ends_by_chance_costs_no_file(tmp_path):
    paths = write(tmp_path, [*map(str, range(8)), "8 once", *map(str, range(9, 20))])
    reads = [*dicom.read_all(paths, size=16, workers=2)]
    assert [type(read) for read in reads] == [dicom.Slice] * 20
    assert (tmp_path / "8 once.met").exists()


def test_a_build_counts_them(tmp_path):
    source = make_site.write_cohort(tmp_path / "source", {"north": 8})
    data = source / "north" / "input" / "data"
    path = sorted(data.iterdir())[5]
    path.rename(data / "ID_segfault.dcm")
    labels = source / "north" / "input" / "labels.csv"
    labels.write_text(labels.read_text().replace(path.stem, "ID_segfault"))
    summary = prepare(source, data_dir=tmp_path / "data", image_size=16, workers=2, max_refused=0.1)
    assert summary["sites"]["north"]["refused"] == {Reason.CRASHED.value: 1}
    assert summary["sites"]["north"]["slices"] == 23
    assert "ID_segfault.dcm" in (tmp_path / "data" / "refused.csv").read_text()


def test_slices_are_the_readers_own_and_in_order(tmp_path):
    """They are copies: what comes later does not lie where they do, nor do other refusals shift them."""
    names = [f"{number:02d}" for number in range(70)]
    paths = write(tmp_path, names)
    for path in paths[::7]:
        pathlib.Path(path).write_bytes(b"nothing")
    descriptors = len(os.listdir("/proc/self/fd"))
    reads = [*dicom.read_all(paths, size=16, workers=2)]
    for path, read in zip(paths, reads, strict=True):
        alone = dicom.read(path, size=16)
        if isinstance(alone, dicom.Refusal):
            assert read == alone
        else:
            assert isinstance(read, dicom.Slice)
            assert read.hu.tolist() == alone.hu.tolist()
            assert read.hu.flags.owndata
            assert read.image == alone.image
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_reader_that_stops_early_leaves_no_process(tmp_path):
    reads = dicom.read_all(write(tmp_path, [*map(str, range(40))]), size=16, workers=2)
    next(reads)
    reads.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_processes_that_cannot_start_are_no_files_fault(tmp_path):
    write(tmp_path, [*map(str, range(20))])
    script = tmp_path / "unguarded.py"  # a script without `if __name__ == "__main__"`
    script.write_text(
        "import pathlib\n"
        "from fl_jax.data.dicom import parallel\n"
        "parallel.CHUNK = 4\n"
        f"paths = [str(path) for path in pathlib.Path({str(tmp_path)!r}).iterdir()]\n"
        "[*parallel.read_all(paths, size=16, workers=2)]\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert BrokenProcessPool.__name__ in done.stderr.splitlines()[-1]
