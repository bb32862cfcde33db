"""`results.json` against the prediction files, by scikit-learn."""

import json

import fake_experiment
import numpy as np
import pytest
from sklearn import metrics

from fl_jax.evaluation import predictions, roc


def _results(workdir):
    return json.loads((workdir / "results.json").read_text())


def test_estimates_are_those_of_the_prediction_files(built):
    table = _results(built)["performance"]
    data = predictions.read(built / "predictions" / "local_birch.csv")
    holdout = predictions.select(data, data.split == "holdout")
    birch = predictions.select(data, (data.split == "test") & (data.site == "birch"))
    for name, rows in (("holdout", holdout), ("birch", birch)):
        cells = table[name]["local_birch"]
        assert cells["auroc"]["micro"]["estimate"] == pytest.approx(
            metrics.roc_auc_score(rows.truth.ravel(), rows.scores.ravel()), abs=1e-12
        )
        assert cells["average_precision"]["any"]["estimate"] == pytest.approx(
            metrics.average_precision_score(rows.truth[:, 0], rows.scores[:, 0]), abs=1e-12
        )
        assert cells["f1_at_0.4"]["any"]["estimate"] == pytest.approx(
            metrics.f1_score(rows.truth[:, 0], rows.scores[:, 0] >= 0.4)
        )


@pytest.mark.parametrize("model", ["local_alder", "federated"])
def test_an_operating_point_comes_from_the_validation_data_that_a_model_may_see(built, model):
    data = predictions.read(built / "predictions" / f"{model}.csv")
    seen = data.split == "validation"
    if model == "local_alder":
        seen &= data.site == "alder"
    results = _results(built)
    expected = roc.youden_threshold(data.truth[seen, 0], data.scores[seen, 0])
    assert results["thresholds"][model]["any"] == expected
    test = data.split == "holdout"
    recall = metrics.recall_score(data.truth[test, 0], data.scores[test, 0] >= expected)
    cell = results["performance"]["holdout"][model]["recall_at_youden"]["any"]
    assert cell["estimate"] == pytest.approx(recall)


def test_differences_are_paired_and_gains_have_a_verdict(built):
    results = _results(built)
    table = results["performance"]["holdout"]
    gap = results["federated_minus_central"]["holdout"]["auroc/micro"]
    assert gap["estimate"] == pytest.approx(
        table["federated"]["auroc"]["micro"]["estimate"]
        - table["central"]["auroc"]["micro"]["estimate"]
    )
    single = table["federated"]["auroc"]["micro"]
    assert gap["high"] - gap["low"] < single["high"] - single["low"]
    verdicts = {site: gain["verdict"] for site, gain in results["gains"].items()}
    assert verdicts["alder"] == "loses"
    assert verdicts["cedar"] == "gains"
    assert verdicts["elm"] == verdicts["dogwood"] == "too few to say"
    assert list(verdicts) == list(fake_experiment.SITES)


def test_cross_site_json_is_data_site_by_model(built):
    matrix = json.loads((built / "cross_site.json").read_text())
    assert list(matrix) == [*fake_experiment.SITES, "holdout"]
    for row in matrix.values():
        assert len(row) == 7
        assert sorted(cell["auroc/micro"]["rank"] for cell in row.values())[0] == 1
    assert matrix == _results(built)["cross_site"]
    enough = [name for name in matrix if not _results(built)["data_sets"][name]["too_few"]]
    assert enough == ["alder", "birch", "cedar", "holdout"]
    ranks = [matrix[site]["federated"]["auroc/micro"]["rank"] for site in enough[:3]]
    mean = _results(built)["ranks"]["auroc/micro"]["federated"]["estimate"]
    assert mean == pytest.approx(np.mean(ranks))
