"""A regime on a small cohort: which numbers come back, and that they come back the same."""

import numpy as np
import pytest

from configs import ich_fed_avg
from fl_jax.evaluation.own_other import NAMES
from launch.runners.cohort import cohort

SETTINGS = ich_fed_avg.get_config().to_dict() | {
    "partition_seed": 0,
    "cohort": {"seed": 0, "scale": 0.08, "matrix": 64},
    "partition": "iid(sites=2)",
    "min_sites": 2,
    "image_size": 16,
    "model": "mlp(outputs=6, widths=(4,))",
    "rounds": 1,
    "resamples": 20,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def run(folder):
    return cohort((0,), folder)


def test_regimes_seeds_and_what_is_kept(run, folder):
    found = {regime: run(SETTINGS | {"regime": regime}, 0) for regime in ("federated", "local")}
    for results in found.values():
        assert all(len(results[f"{name}_samples"]) == 20 for name in NAMES)
        assert all(0 < results[name] < 1 for name in NAMES)
        sites = {key for key in results if key.startswith("micro_at_")}
        assert len(sites) == 2
        assert all(results[site] <= results[f"best_{site}"] for site in sites)
    assert found["federated"]["own_macro"] != found["local"]["own_macro"]
    again = cohort((0,), folder)(SETTINGS, 0)
    np.testing.assert_equal(again, found["federated"])  # NaN where a resample has no positive
    other = run(SETTINGS, 1)
    assert other["holdout_macro"] != again["holdout_macro"]
    assert not [*folder.rglob("checkpoints")]


def test_personal_models_are_judged_as_such(run):
    found = run(SETTINGS | {"algorithm": "ditto()"}, 0)
    assert 0 < found["holdout_macro"] < 1
    assert found["best_round"] == 1


def test_bad_settings(run):
    with pytest.raises(ValueError, match="folder"):
        cohort((0,))
    with pytest.raises(ValueError, match="regime='pooled'"):
        run(SETTINGS | {"regime": "pooled"}, 0)
    with pytest.raises(ValueError, match=r"config\.rounds=0"):
        run(SETTINGS | {"rounds": 0}, 0)
