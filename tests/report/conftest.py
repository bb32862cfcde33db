import fake_study
import pytest


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """A finished study's workdir, to be read only."""
    return fake_study.make(tmp_path_factory.mktemp("study") / "work")
