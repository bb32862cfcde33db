"""A pass over very many files is flat in memory; `-m slow -s` shows its numbers."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.mark.slow
def test_memory_of_fifty_thousand_files_is_flat(tmp_path):
    paths = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))
    done = subprocess.run(
        [sys.executable, HERE / "build_many.py", tmp_path, "50000", "2"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    print(done.stdout)
    found = json.loads(done.stdout)
    assert found["listed"] == found["slices"] == 50000
    assert found["site"]["shared_pictures"] == 0
    (first, _, own, reader), *_, (last, _, more, larger) = found["read"]
    assert (more - own) * 1e6 / (last - first) < 1000  # bytes a file
    assert larger - reader < 20
