import shutil
import subprocess
import sys

import fake_experiment
import pytest

from fl_jax.report.build import build
from fl_jax.workdir import Workdir

UNSAVED = """
import runpy, sys
from fl_jax.report import journal
journal._saved = lambda *_: b""
sys.argv[0] = "launch.report"
runpy.run_module("launch.report", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished experiment, read-only."""
    return fake_experiment.make(tmp_path_factory.mktemp("finished") / "work")


@pytest.fixture(scope="session")
def built(finished, tmp_path_factory):
    """The same with its report."""
    workdir = tmp_path_factory.mktemp("built") / "work"
    shutil.copytree(finished, workdir)
    build(Workdir(workdir), resamples=60, thumbnails=fake_experiment.heads, paper_figures=True)
    return workdir


@pytest.fixture(scope="session")
def program():
    """`launch.report` in a subprocess, with empty figure files: drawing them takes two thirds of its time."""
    return lambda *flags: subprocess.run(
        [sys.executable, "-c", UNSAVED, *flags], capture_output=True, text=True
    )


@pytest.fixture
def copy(finished, tmp_path):
    """A finished experiment that a test may break."""
    shutil.copytree(finished, tmp_path / "work")
    return tmp_path / "work"
