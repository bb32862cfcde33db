"""A pass over very many files is flat in memory, and leaves no process behind; `-m slow -s` shows numbers."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import make_dicom
import make_site
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

HERE = pathlib.Path(__file__).parent
PATHS = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS}


@pytest.mark.slow
def test_memory_of_fifty_thousand_files_is_flat(tmp_path):
    done = subprocess.run(
        [sys.executable, HERE / "build_many.py", tmp_path, "50000", "2"],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    print(done.stdout)
    results = json.loads(done.stdout)
    assert results["listed"] == results["slices"] == 50000
    assert results["site"]["shared_pictures"] == 0
    (first, _, fewer, reader), *_, (last, _, more, larger) = results["read"]
    assert (more - fewer) * 1e6 / (last - first) < 1000  # bytes a file
    assert larger - reader < 20


READ = """
import pathlib, resource, sys
from fl_jax.data import dicom
from build_many import resident
if __name__ == "__main__":  # reading processes import this file too
    paths = sorted(map(str, pathlib.Path(sys.argv[1]).iterdir()))
    for number, read in enumerate(dicom.read_all(paths, size=64, workers=int(sys.argv[2])), 1):
        assert isinstance(read, dicom.Slice), read
        if number % (len(paths) // 10) == 0:
            print(number, resident(), flush=True)
"""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("files", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_memory_of_reading_is_flat(tmp_path, files, workers):
    folder, script = tmp_path / "files", tmp_path / "read.py"
    folder.mkdir()
    whole = make_dicom.ct(make_dicom.disc(128, 128))
    packed = make_dicom.ct(make_dicom.disc(128, 128), syntax=DeflatedExplicitVRLittleEndian)
    for name, content in (("plain", whole), ("packed", packed)):  # both parsers
        (tmp_path / name).write_bytes(content)
        for number in range(files // 2):
            (folder / f"{number:05d}{name}").hardlink_to(tmp_path / name)
    script.write_text(READ)
    command = [sys.executable, script, folder, str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    sizes = [float(line.split()[1]) for line in done.stdout.splitlines()]
    print(done.stdout)
    assert len(sizes) == 10
    assert max(sizes[1:]) - sizes[0] < 4  # MB; one slice kept of each would be 16 or 160


def test_reading_processes_end_with_a_build_that_is_killed(tmp_path):
    source = make_site.write_cohort(tmp_path / "source", {"north": 20})
    script = tmp_path / "build.py"
    script.write_text(
        "import multiprocessing, os, signal, sys\n"
        "from fl_jax.data.dataset import prepare\n"
        "from fl_jax.data.dicom import parallel\n"
        "parallel.CHUNK = 4\n"
        "def kill(done, total):\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':  # reading processes import this file too\n"
        "    prepare(sys.argv[1], data_dir=sys.argv[2], image_size=16, workers=2,\n"
        "                    progress=kill)\n"
    )
    command = [sys.executable, script, source, tmp_path / "data"]
    out = tmp_path / "out"  # a remaining child would keep a pipe open
    with out.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL
    readers = [pathlib.Path("/proc", name) for name in out.read_text().split()]
    assert len(readers) == 2
    for _ in range(200):
        if not any(reader.exists() for reader in readers):
            return
        time.sleep(0.1)
    pytest.fail(f"{readers} are left")
