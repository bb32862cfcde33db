"""The wheel, built and installed as a stranger would, in an environment without the optional packages."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("tensorflow", "tensorflow_datasets", "pydicom", "cv2", "matplotlib", "sklearn", "jinja2")
BLOCKER = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
"""Stands for an environment where only the base dependencies are installed."""


def run(*command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


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
    """The interpreter of a new environment with the wheel and, by a path, JAX and its companions."""
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
def test_an_installed_wheel_is_imported_from_its_environment(python, tmp_path):
    code = "import fl_jax; print(fl_jax.__file__)"
    done = run(python, "-W", "error", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(python.parent.parent)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["data.dicom", "data.dataset", "phantom.cohort"])
def test_a_missing_extra_is_answered_with_the_command(python, package, tmp_path):
    done = run(python, "-c", f"import fl_jax.{package}", cwd=tmp_path)
    assert "pip install 'fl_jax[ct]'" in done.stderr.splitlines()[-1]
