"""The table of AUROC by place: means, paired differences, and what has no reference."""

import numpy as np
import pytest

from fl_jax.evaluation.internal_external import NAMES
from launch.sweep.tables.places import places

NOISE = np.random.default_rng(0).normal(0, 0.01, 40)


def runs(level, shift=0.0):
    def one(seed):
        values = dict.fromkeys(NAMES, level + seed / 100)
        samples = {f"{name}_samples": (values[name] + NOISE).tolist() for name in NAMES}
        return values | samples | {"other_macro": None, "other_macro_samples": [None] * 40}

    return {}, [one(seed + shift) for seed in range(3)]


def test_differences_are_paired_by_seed_and_patient(tmp_path):
    places("one")({"one": runs(0.8), "two": runs(0.9)}, tmp_path)
    first, _, one, two = (tmp_path / "table.md").read_text().splitlines()
    assert "hold-out, less one" in first
    assert one.split(" | ")[1].startswith("0.810 (")
    assert "–" in one  # no other site
    assert two.endswith("| +0.100 (+0.100 to +0.100) |")  # the same noise in both
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * len(NAMES)


@pytest.mark.parametrize("reference", ["", "three"])
def test_without_a_reference(tmp_path, reference):
    places(reference, kind="micro")({"one": runs(0.8)}, tmp_path)
    table = (tmp_path / "table.md").read_text()
    assert "less" not in table
    assert "0.810 (" in table


def test_an_unknown_kind():
    with pytest.raises(ValueError, match="kind='weighted'"):
        places(kind="weighted")
