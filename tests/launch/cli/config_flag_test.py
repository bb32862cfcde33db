"""A wrong flag is answered in one line, and --help lists every field without heavy imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from fl_jax.experiment.config import FIELDS

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from absl import app
from launch.cli import config_flag
config_flag.define()
app.run(lambda argv: print("parsed"), argv=["program", *sys.argv[1:]], flags_parser=config_flag.parse)
"""


def program(*flags, code=PROGRAM):
    command = [sys.executable, "-c", code, *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--config.round=3", "config.round: there is no such field; did you mean config.rounds?"),
        ("--config.cohort.sede=3", "did you mean config.cohort.seed?"),
        ("--noconfig.flop", "did you mean config.flip?"),
        ("--config.rounds=many", "config.rounds='many': must be int in 1.."),
        ("extra", "unknown argument 'extra': flags start with --"),
        ("--confg.rounds=3", "Unknown command line flag 'confg.rounds'"),
    ],
)
def test_a_wrong_flag_is_answered_in_one_line(flag, said):
    done = program("--config=configs/demo.py", "--workdir=unused", flag)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_missing_config_is_answered_in_one_line():
    done = program("--config=configs/none.py", "--workdir=unused")
    assert done.returncode == 1
    assert "No such file or directory: 'configs/none.py'" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_help_lists_every_field_without_tensorflow(flag):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launch.experiment", flag],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in FIELDS.keys() - {"cohort"}:
        assert f"  --config.{name}=" in done.stdout
    assert "--workdir" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ml_collections" in imported
    assert not imported & {"tensorflow", "tensorflow_datasets", "orbax", "matplotlib", "pydicom"}
