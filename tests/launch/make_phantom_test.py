"""The program says what it made; what it refuses is one line."""

import pathlib
import subprocess
import sys

from fl_jax.phantom import cohort
from fl_jax.phantom.tables import SiteSummary
from launch import make_phantom

ROOT = pathlib.Path(__file__).parents[2]


def test_a_strangers_folder_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "thesis.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "launch.make_phantom", "--out=~"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path} has files, but no marker")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_the_table_has_every_label_and_a_row_of_sums(tmp_path):
    sites = tuple(SiteSummary(name, 4, 2, 40, (5, 1, 1, 1, 1, 1), 10**6) for name in "ab")
    table = make_phantom.table(cohort.CohortSummary(tmp_path, "", sites, False))
    columns = [column.header for column in table.columns]
    assert columns[4:-1] == ["any", "EDH", "IPH", "IVH", "SAH", "SDH"]
    assert [list(column.cells)[-1] for column in table.columns][:4] == ["all", "8", "4", "80"]
