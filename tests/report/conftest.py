import shutil

import fake_study
import pytest

from fl_jax import report


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A finished study's workdir, to be read only."""
    return fake_study.make(tmp_path_factory.mktemp("study") / "work")


@pytest.fixture(scope="session")
def built(study, tmp_path_factory):
    """The same with its report."""
    workdir = tmp_path_factory.mktemp("built") / "work"
    shutil.copytree(study, workdir)
    report.build(workdir, resamples=60, thumbnails=fake_study.heads)
    return workdir


@pytest.fixture
def copy(study, tmp_path):
    """A workdir that a test may break."""
    shutil.copytree(study, tmp_path / "work")
    return tmp_path / "work"
