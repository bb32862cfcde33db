"""The challenge's folder becomes an experiment by one command."""

import json

import make_rsna
from end_to_end_test import TINY, program


def test_the_challenges_folder_becomes_an_experiment(tmp_path):
    source = make_rsna.write_rsna(tmp_path / "rsna", patients=60, slices=3)
    path = sorted((source / "stage_2_train").iterdir())[7]
    path.write_bytes(path.read_bytes()[:-9])
    flags = (
        *(f"--config.source={source}", "--config.source_layout=rsna"),
        *("--config.partition=acquisition(sites=2)", "--config.min_sites=1"),
        *("--config.rounds=1", "--config.epochs=1.0", "--config.spacing_mm=0"),
    )
    done = program("experiment", *TINY, *flags, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert "truncated" in done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    matrix = json.loads((tmp_path / "run" / "cross_site.json").read_text())
    assert all(len(row) == 4 for row in matrix.values())  # federated, central, two local models
