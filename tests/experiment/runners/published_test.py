"""Every flaw runs on a small cohort, differs from what is done right, and is the only one that is on."""

import numpy as np
import pytest

from configs import as_published
from fl_jax.experiment.runners.published import FLAWS, published

SMALL = as_published.study().to_dict() | {
    "cohort": {"seed": 0, "scale": 0.08, "matrix": 64},
    "partition": "iid(sites=2)",
    "min_sites": 2,
    "image_size": 16,
    "model": "mlp(outputs=6, widths=(4,))",
    "rounds": 1,
}
SETTINGS = as_published.base().to_dict() | {"resamples": 20, "unreadable": 0.2, "study": SMALL}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def run(folder):
    return published((0,), folder)


def test_the_switches_are_those_of_the_config():
    assert [*FLAWS] == [*as_published.FLAWS]


@pytest.mark.slow  # trains models: minutes on two cores
@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_against_the_study_done_right(run, flaw):
    result = run(SETTINGS | {flaw: True}, 0)
    prefixes = [""]
    if flaw in ("image_level_split", "silent_zero_images"):
        prefixes.append("untouched_")
    for prefix in prefixes:
        cost = result[f"{prefix}published"] - result[f"{prefix}right"]
        assert result[f"{prefix}difference"] == pytest.approx(
            cost, nan_ok=flaw == "naive_intervals"
        )
        assert len(result[f"{prefix}samples"]) == 20
        assert cost != 0  # of an interval it is NaN: so few patients have none
    assert ("untouched_published" in result) == (len(prefixes) == 2)


@pytest.mark.slow
def test_a_run_is_made_again_from_its_checkpoints(run, folder):
    flawed = SETTINGS | {"bleed_free_weights": True}
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*/federated/1/*")}
    assert before
    again = published((0,), folder)(flawed, 0)
    np.testing.assert_equal(again, run(flawed, 0))  # NaN where a resample has no positive
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize("on", [[], ["naive_intervals", "unequal_budgets"]])
def test_one_flaw_at_a_time(run, on):
    with pytest.raises(ValueError, match="one flaw"):
        run(SETTINGS | dict.fromkeys(on, True), 0)


def test_without_a_folder():
    with pytest.raises(ValueError, match="folder"):
        published((0,))
