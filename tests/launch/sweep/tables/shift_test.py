"""The table of a domain shift: which row is compared with which."""

import numpy as np

from launch.sweep.tables.shift import STATISTICS, shift

NOISE = np.random.default_rng(0).normal(0, 0.01, 40)


def runs(level):
    def one(seed):
        values = dict.fromkeys(STATISTICS, level + seed / 100)
        return values | {f"{name}_samples": (values[name] + NOISE).tolist() for name in STATISTICS}

    return {}, [one(seed) for seed in range(3)]


def test_rows_are_compared_with_nothing_or_everything(tmp_path):
    rows = {
        "nothing": runs(0.6),
        "everything": runs(0.8),
        "only pose": runs(0.7),
        "without pose": runs(0.75),
    }
    shift()(rows, tmp_path)
    _, _, *lines = (tmp_path / "table.md").read_text().splitlines()
    ends = [line.rsplit(" | ", 1)[1] for line in lines]
    assert ends[0] == " |"
    assert ends[1].startswith("nothing: +0.200 (+0.200")
    assert ends[2].startswith("nothing: +0.100")
    assert ends[3].startswith("everything: -0.050")
    csv = (tmp_path / "table.csv").read_text()
    assert "only pose,3,less,shifted_patient" in csv
    assert "less,own_" not in csv


def test_a_single_row(tmp_path):
    shift()({"only pose": runs(0.7)}, tmp_path)
    assert (tmp_path / "table.md").read_text().splitlines()[-1].endswith("|  |")
