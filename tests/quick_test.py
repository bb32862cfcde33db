"""One tiny experiment, from DICOM files to the report; `tests/run.sh --quick` runs it."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import make_site

ROOT = Path(__file__).parent.parent
FIELDS = (
    *(
        "source_layout=sites",
        "image_size=32",
        "spacing_mm=0",
        "rounds=1",
        "epochs=1.0",
        "min_sites=1",
    ),
    *("model=resnet(widths=(8,), blocks=(1,), strides=(2,), stem=8)", "optimizer=adam(1e-3)"),
    *("fractions=(0.5, 0.2, 0.3)", "resamples=20", "jobs=1"),
)


def test_site_folders_become_a_report(tmp_path):
    source = make_site.write_cohort(tmp_path / "sites", {"a": 24, "b": 20})
    command = [sys.executable, "-m", "launch.experiment", "--config=configs/demo.py"]
    command += [f"--config.{field}" for field in FIELDS]
    command += [f"--config.source={source}", f"--workdir={tmp_path / 'run'}"]
    env = os.environ | {"XLA_FLAGS": ""}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    matrix = json.loads((tmp_path / "run" / "cross_site.json").read_text())
    assert matrix.keys() >= {"a", "b"}
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    for model in ("federated", "central"):
        (line,) = (tmp_path / "run/models" / model / "metrics.jsonl").read_text().splitlines()
        assert math.isfinite(json.loads(line)["loss"])
