import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_program_imports_nothing_from_the_folder_it_is_run_in(tmp_path):
    """Nor do the processes that it starts; `jax.py` may lie in a received workdir."""
    for name in ("absl", "jax", "numpy", "fl_jax"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    done = subprocess.run(
        [sys.executable, "-m", "launch.report", f"--workdir={tmp_path}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "has no predictions" in done.stderr
    code = "import runpy, sys, os; sys.argv[0] = '-m'; import launch; print(os.environ.get('PYTHONSAFEPATH'))"
    for folder, safe in ((tmp_path, "1"), (ROOT, "None")):
        child = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert child.stdout.split() == [safe], child.stderr
    assert not (tmp_path / "ran").exists()
