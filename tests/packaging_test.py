"""The wheel: built, installed into a new environment without extras, and used there."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from public_face_test import example

ROOT = Path(__file__).parent.parent
HEAVY = ("tensorflow", "tensorflow_datasets", "pydicom", "cv2", "matplotlib", "sklearn", "jinja2")
BLOCKER = f"""
import sys
from importlib.machinery import PathFinder
class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in {HEAVY}:
            return PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""
"""Hides what an installation without extras lacks."""
ARRAYS = """
import numpy as np
generator = np.random.default_rng(0)
xa, xb, x_test = (generator.normal(size=(count, 32)) for count in (200, 90, 500))
ya, yb, y_test = ((x[:, :6] > 0).astype(np.float32) for x in (xa, xb, x_test))
"""
RESULT = "print(((probabilities > 0.5) == (y_test > 0.5)).mean(), fl.__file__)"


def run(*command, cwd):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    run("git", "clone", "--quiet", str(ROOT), str(source), cwd=folder)
    command = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder))
    done = run(*command, cwd=source)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of a new environment with the wheel; its dependencies come from the present environment."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    done = run(interpreter, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "blocker.py").write_text(BLOCKER)
    here = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "present.pth").write_text(f"{here}\nimport blocker\n")
    return interpreter


@pytest.mark.slow
def test_the_wheel_has_pages_styles_and_texts(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = run("git", "ls-files", "fl_jax", cwd=ROOT).stdout.splitlines()
    assert set(tracked) <= packed
    assert {Path(name).suffix for name in tracked} >= {".py", ".html", ".css", ".md"}


@pytest.mark.slow
def test_the_readme_example_runs_with_the_installed_wheel(python, tmp_path):
    (tmp_path / "example.py").write_text(f"{ARRAYS}{example()}\n{RESULT}\n")
    done = run(python, "-W", "error", "example.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accuracy, file = done.stdout.split()
    assert float(accuracy) > 0.7
    assert Path(file).is_relative_to(python.parent.parent)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["data.dicom", "phantom.cohort", "report.build"])
def test_a_missing_extra_is_answered_with_the_command(python, package, tmp_path):
    done = run(python, "-c", f"import fl_jax.{package}", cwd=tmp_path)
    assert "pip install 'fl_jax[ct]'" in done.stderr.splitlines()[-1]
