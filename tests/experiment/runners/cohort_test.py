"""A arm on a small dataset: which numbers come back, and that they come back the same."""

import numpy as np
import pytest

from configs import ich_fed_avg
from fl_jax.data import slices as datasets
from fl_jax.evaluation.internal_external import NAMES
from fl_jax.experiment.runners.cohort import cohort

SETTINGS = ich_fed_avg.get_config().to_dict() | {
    "partition_seed": 0,
    "data_dir": ".",  # the fixture has the dataset
    "min_sites": 2,
    "image_size": 8,
    "model": "mlp(outputs=6, widths=(4,))",
    "rounds": 1,
    "epochs": 1.0,
    "resamples": 20,
    "layout": "sequential",
}


@pytest.fixture
def run(slices, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "load", lambda folder: slices)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {"digest": "1", "options": {}})
    return cohort((0,), tmp_path)


def check(results):
    assert all(len(results[f"{name}_samples"]) == 20 for name in NAMES)
    assert all(0 < results[name] < 1 for name in NAMES)
    sites = {key for key in results if key.startswith("micro_at_")}
    assert len(sites) == 3
    assert all(results[site] <= results[f"best_{site}"] for site in sites)
    assert results["best_round"] == 1


def test_a_federated_model_and_what_is_kept(run, tmp_path):
    result = run(SETTINGS, 0)
    check(result)
    assert result["micro_at_a"] == result["best_micro_at_a"]
    assert not [*tmp_path.rglob("federated")]
    assert [*tmp_path.rglob("partition.csv")]


@pytest.mark.slow
def test_local_models_other_seeds_and_the_same_seed_again(run, tmp_path):
    first = run(SETTINGS, 0)
    np.testing.assert_equal(cohort((0,), tmp_path)(SETTINGS, 0), first)
    assert run(SETTINGS, 1)["holdout_macro"] != first["holdout_macro"]
    local = run(SETTINGS | {"arm": "local"}, 0)
    check(local)
    assert local["own_macro"] != first["own_macro"]
    check(run(SETTINGS | {"algorithm": "ditto()"}, 0))


@pytest.mark.slow
def test_without_a_dataset_it_draws_the_cohort(tmp_path):
    small = {"seed": 0, "scale": 0.08, "matrix": 64}
    run = cohort((0,), tmp_path)
    result = run(SETTINGS | {"data_dir": "", "cohort": small, "image_size": 16}, 0)
    assert 0 < result["own_micro"] < 1
    assert len([*tmp_path.glob("*/data_16")]) == 1


def test_bad_settings(run):
    with pytest.raises(ValueError, match="folder"):
        cohort((0,))
    with pytest.raises(ValueError, match="arm='pooled'"):
        run(SETTINGS | {"arm": "pooled"}, 0)
    with pytest.raises(ValueError, match=r"config\.rounds=0"):
        run(SETTINGS | {"rounds": 0}, 0)
