"""The shell's front door: help costs nothing, and a path means what the caller's folder makes of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fl_jax.experiment.config import FIELDS

ROOT = Path(__file__).parents[2]


def bash(script, *arguments, cwd):
    return subprocess.run(
        ["bash", str(script), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path):
    """The repository's scripts with a `.venv` that is complete and whose Python says what it is told."""
    root = tmp_path / "a repository"
    (root / "tests").mkdir(parents=True)
    shutil.copytree(ROOT / "launch", root / "launch")
    shutil.copy(ROOT / "pyproject.toml", root)
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$PYTHONPATH" "$@"\n')
    python.chmod(0o755)
    stamp = "cat pyproject.toml launch/constraints.txt | cksum > .venv/stamp"
    subprocess.run(stamp, shell=True, cwd=root, check=True)
    return root


def test_help_lists_every_field_and_sets_nothing_up(copy, tmp_path):
    (copy / "fl_jax" / "experiment").mkdir(parents=True)
    shutil.copy(ROOT / "fl_jax" / "experiment" / "config.py", copy / "fl_jax" / "experiment")
    shutil.rmtree(copy / ".venv")
    done = bash(copy / "launch" / "demo.sh", "--workdir=x", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "--workdir=DIR",
        "--config.rounds=10  (int in 1..1000000)",
        "--config.cohort.scale=",
    ):
        assert words in done.stdout
    for name in FIELDS.keys() - {"cohort"}:
        assert f"\n  --config.{name}=" in done.stdout
    assert not (copy / ".venv").exists()


def test_the_demo_runs_in_the_callers_folder(copy, tmp_path):
    done = bash(copy / "launch" / "demo.sh", "--config.source=data", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder, path, *arguments = done.stdout.splitlines()
    assert folder == str(tmp_path)
    assert path.split(":")[0] == str(copy)
    assert arguments == [
        *("-m", "launch.experiment", f"--config={copy}/configs/demo.py"),
        *("--workdir=runs/demo", "--config.source=data"),
    ]
