import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fuzzing import listing

from configs import ich_fed_avg
from fl_jax.data import slices as datasets
from fl_jax.experiment import data, labelled_predictions, restore
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import SILENT
from fl_jax.files import locks
from fl_jax.files.folders import claim
from fl_jax.workdir import Workdir

HOLD = """
import sys, time
from pathlib import Path
from fl_jax.files import locks
with locks.lock(Path(sys.argv[1]), "federated", flag="--workdir"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_is_at_work(tmp_path, other):
    words = rf"{tmp_path}: process {other.pid} is writing 'federated'; .*another --workdir"
    with (
        pytest.raises(ValueError, match=words),
        locks.lock(tmp_path, "federated", flag="--workdir"),
    ):
        raise AssertionError
    with locks.lock(
        tmp_path, "central", flag="--workdir"
    ):  # two models of one study train side by side
        pass


def test_a_deleted_folder_is_noticed(tmp_path):
    folder = tmp_path / "run"
    with locks.lock(folder, "federated", flag="--workdir") as lock:
        lock.check()
        shutil.rmtree(folder)
        with pytest.raises(ValueError, match=rf"{folder}: the folder, or .locks .* was deleted"):
            lock.check()


def test_a_process_that_is_killed_lets_go(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with locks.lock(tmp_path, "federated", flag="--workdir"):
        assert (tmp_path / locks.LOCKS / "federated").read_text() == f"{os.getpid()}\n"


def test_whoever_makes_the_partition_is_waited_for(tmp_path, slices, monkeypatch):
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {"digest": "1", "options": {}})
    Workdir(tmp_path).claim()
    hold = HOLD.replace('"federated"', '"partition"')
    command = [sys.executable, "-c", hold, str(tmp_path)]
    divide = partial(
        data.partition, Config.parse(ich_fed_avg.get_config()), Workdir(tmp_path), slices
    )
    with (
        ThreadPoolExecutor() as pool,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        made = pool.submit(divide)
        try:
            with pytest.raises(TimeoutError):
                made.result(0.5)
            assert {*listing(tmp_path)} == {".fl_jax-workdir", ".locks", ".locks/partition"}
        finally:
            process.kill()
        assert made.result(60).sites == ("a", "b", "c")


def test_a_folder_is_free_again_after_its_end(tmp_path):
    with locks.lock(tmp_path / "new", "study", flag="--workdir"):
        pass
    code = HOLD.replace("time.sleep(60)", "")
    command = [sys.executable, "-c", code.replace('"federated"', '"study"'), str(tmp_path / "new")]
    subprocess.run(command, check=True, capture_output=True)


def test_no_lock_is_written_through_a_link(tmp_path):
    claim(tmp_path / "run", "workdir", flag="--workdir")
    (tmp_path / "run" / ".locks").mkdir()
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "run" / ".locks" / "soft").symlink_to(theirs)
    (tmp_path / "run" / ".locks" / "hard").hardlink_to(theirs)
    os.mkfifo(tmp_path / "run" / ".locks" / "pipe")
    for name in ("soft", "hard", "pipe"):
        with (
            pytest.raises(ValueError, match=rf"\.locks/{name}"),
            locks.lock(tmp_path / "run", name, flag="--workdir"),
        ):
            raise AssertionError
    (tmp_path / "folder").mkdir()
    shutil.rmtree(tmp_path / "run" / ".locks")
    (tmp_path / "run" / ".locks").symlink_to(tmp_path / "folder")
    with (
        pytest.raises(ValueError, match=r"\.locks is a link"),
        locks.lock(tmp_path / "run", "study", flag="--workdir"),
    ):
        raise AssertionError
    assert theirs.read_text() == "theirs"
    assert not [*(tmp_path / "folder").iterdir()]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "runs").write_text("")
    words = rf"^{tmp_path}/runs/a cannot be written: part of the path is a file; .*--workdir$"
    with (
        pytest.raises(OSError, match=words),
        locks.lock(tmp_path / "runs" / "a", "study", flag="--workdir"),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("number", "reason"),
    [(30, "is read-only"), (13, "may not write there"), (28, "the disk is full"), (5, "I/O")],
)
def test_every_reason_is_said_in_a_sentence(tmp_path, monkeypatch, number, reason):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number).replace("Input/output", "I/O"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        pytest.raises(OSError, match=reason) as caught,
        locks.lock(tmp_path / "a", "study", flag="--workdir"),
    ):
        raise AssertionError
    assert "--workdir" in str(caught.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="takes another user's rights")
def test_a_folder_of_another_user_is_named(tmp_path):
    code = f"""
import os, sys
from pathlib import Path
from fl_jax.files import locks
os.seteuid(65534)
try:
    with locks.lock(Path({str(tmp_path)!r}), "study", flag="--workdir"):
        pass
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"{tmp_path} cannot be written: this user may not write there" in done.stdout


@pytest.mark.parametrize("name", ["local_../../a", "..", "", "a\0b"])
def test_no_file_outside_of_the_workdir(tmp_path, name):
    with (
        pytest.raises(ValueError, match="is no valid name"),
        locks.lock(tmp_path / "run", name, flag="--workdir"),
    ):
        raise AssertionError
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "a/b", "", "a\0b"])
def test_a_models_name_is_one_part_of_a_path(tmp_path, name):
    (tmp_path / "predictions").mkdir()
    for read in (
        lambda: labelled_predictions.stored(Workdir(tmp_path), name),
        lambda: restore.load(Workdir(tmp_path), SILENT, name),
    ):
        with pytest.raises(
            ValueError, match="is no valid name: it must be a single part of a path"
        ):
            read()
