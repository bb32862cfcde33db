"""The tests, ranks, calls and calibration in results.json, against the prediction files."""

import json

import fake_experiment
import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.evaluation import comparisons, delong, predictions
from fl_jax.report.build import build
from fl_jax.workdir import Workdir

MODELS = ["federated", "central", *(f"local_{site}" for site in fake_experiment.SITES)]


@pytest.fixture
def results(built):
    return json.loads((built / "results.json").read_text())


def _select(built, model, split="holdout"):
    data = predictions.read(built / "predictions" / f"{model}.csv")
    return predictions.select(data, data.split == split)


def test_clustered_intervals_are_those_of_delong_and_wider_than_naive_ones(built, results):
    data = _select(built, "federated")
    _, patients = np.unique(data.patient, return_inverse=True)
    groups = np.repeat(patients, len(LABELS))
    expected = delong.contrast(
        [delong.area(data.truth.ravel(), data.scores.ravel(), groups)], [1], logit=True
    )
    cell = results["delong"]["holdout"]["federated"]["micro"]
    for name in ("estimate", "error", "low", "high"):
        assert cell[name] == pytest.approx(getattr(expected, name), rel=1e-12)
    assert cell["low"] < cell["naive_low"] < cell["naive_high"] < cell["high"]
    drawn = results["performance"]["holdout"]["federated"]["auroc"]["micro"]
    assert cell["estimate"] == pytest.approx(drawn["estimate"], abs=1e-12)
    bent = results["bca"]["federated"]["auroc/micro"]
    assert bent["estimate"] == drawn["estimate"]
    assert (bent["low"], bent["high"]) != (drawn["low"], drawn["high"])


def test_every_local_model_is_tested_on_every_site_and_adjusted_for_all(results):
    table = results["delong_differences"]["federated_minus_local"]
    assert list(table) == list(fake_experiment.SITES)
    cells = [cell for row in table.values() for cell in row.values()]
    assert len(cells) == 25
    for name in ("micro", "macro"):
        adjusted = comparisons.holm(
            [np.nan if c[name]["p"] is None else c[name]["p"] for c in cells]
        )
        np.testing.assert_allclose([c[name]["p_holm"] or np.nan for c in cells], adjusted)
    local = table["elm"]["local_elm"]["micro"]
    gain = results["gains"]["elm"]["own"]["auroc/micro"]
    assert local["estimate"] == pytest.approx(gain["estimate"], abs=1e-12)


def test_the_margin_is_the_configs_and_decides(built, results, tmp_path):
    test = results["non_inferiority"]["micro"]
    gap = results["delong_differences"]["federated_minus_central"]["holdout"]["micro"]
    assert (test["margin"], test["verdict"]) == (0.02, "non-inferior")
    assert test["low"] == gap["low"] > -0.02
    Workdir(tmp_path).claim()
    for name in ("federated", "central"):
        (tmp_path / "predictions").mkdir(exist_ok=True)
        predictions.write(tmp_path / "predictions" / f"{name}.csv", _select(built, name))
    (tmp_path / "manifest.json").write_text(json.dumps({"config": {"margin": 1e-4}}))
    strict = build(Workdir(tmp_path), resamples=20)["non_inferiority"]["micro"]
    assert (strict["margin"], strict["verdict"]) == (1e-4, "inconclusive")
    assert (
        build(Workdir(tmp_path), resamples=20, margin=0.5)["non_inferiority"]["micro"]["margin"]
        == 0.5
    )
    with pytest.raises(ValueError, match="margin=0"):
        build(Workdir(tmp_path), resamples=20, margin=0)


ENOUGH = ("alder", "birch", "cedar")
"""Sites with at least 5 patients with a bleed and 5 without."""


def test_ranks_are_those_of_the_matrix_with_a_share_of_resamples(results):
    ranks = results["ranks"]["auroc/micro"]
    assert list(ranks) == MODELS
    for model, cell in ranks.items():
        places = [results["cross_site"][site][model]["auroc/micro"]["rank"] for site in ENOUGH]
        assert cell["estimate"] == pytest.approx(np.mean(places))
        assert cell["low"] <= cell["high"]
    assert ranks["central"]["top"] > 0.9 > 0.1 > ranks["local_elm"]["top"]
    worst = results["worst_site"]["auroc/micro"]["federated"]
    row = {site: results["cross_site"][site]["federated"]["auroc/micro"] for site in ENOUGH}
    assert worst["estimate"] == min(cell["estimate"] for cell in row.values())
    assert row[worst["site"]]["estimate"] == worst["estimate"]
