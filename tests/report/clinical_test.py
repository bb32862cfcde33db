import json

import fake_experiment
import numpy as np
import pytest
from sklearn import metrics

from fl_jax.evaluation import noisy_or, predictions, roc
from fl_jax.report import clinical

MODELS = ["federated", "central", *(f"local_{site}" for site in fake_experiment.SITES)]


@pytest.fixture
def results(built):
    return json.loads((built / "results.json").read_text())


def _select(built, model, split="holdout"):
    data = predictions.read(built / "predictions" / f"{model}.csv")
    return predictions.select(data, data.split == split)


def test_operating_points_are_chosen_on_validation_and_evaluated_on_the_hold_out(built, results):
    data, seen = _select(built, "local_birch"), _select(built, "local_birch", "validation")
    seen = predictions.select(seen, seen.site == "birch")
    points = results["operating_points"]["local_birch"]
    assert [*points] == [*clinical.OPERATING_POINTS]
    cell = points["youden"]["any"]
    assert cell["threshold"] == roc.youden_threshold(seen.truth[:, 0], seen.scores[:, 0])
    called = data.scores[:, 0] >= cell["threshold"]
    assert cell["recall"]["estimate"] == pytest.approx(
        metrics.recall_score(data.truth[:, 0], called)
    )
    assert cell["tp"] + cell["fn"] == data.truth[:, 0].sum()
    threshold = points["sensitivity_0.95"]["any"]["threshold"]
    assert metrics.recall_score(seen.truth[:, 0], seen.scores[:, 0] >= threshold) >= 0.95
    fixed = results["performance"]["holdout"]["local_birch"]["f1_at_0.4"]["any"]["estimate"]
    assert points["fixed_0.4"]["any"]["f1"]["estimate"] == pytest.approx(fixed)


def test_calibration_temperature_and_patients(built, results):
    data = _select(built, "federated")
    cell = results["calibration"]["federated"]["any"]
    assert cell["brier"] == pytest.approx(
        metrics.brier_score_loss(data.truth[:, 0], data.scores[:, 0])
    )
    assert sum(cell["curve"]["slices"]) == data.image.size
    assert list(results["challenge_loss"]) == MODELS
    heat = results["temperature"]["federated"]
    assert list(heat["sites"]) == sorted(fake_experiment.SITES)
    assert heat["after"]["brier"] < heat["before"]["brier"]
    names, at = np.unique(data.patient, return_inverse=True)
    highest = np.zeros(names.size)
    np.maximum.at(highest, at, data.scores[:, 0])
    bleeds = np.bincount(at, data.truth[:, 0]) > 0
    assert results["patients"]["maximum"]["federated"]["any"]["estimate"] == pytest.approx(
        metrics.roc_auc_score(bleeds, highest), abs=1e-12
    )


def test_the_noisy_or_of_patients_is_fitted_on_validation_and_calibrated(built, results):
    data, seen = _select(built, "local_birch"), _select(built, "local_birch", "validation")
    fitted = noisy_or.fit(predictions.select(seen, seen.site == "birch"))
    assert fitted is not None
    scores = noisy_or.aggregate(data, fitted)
    cell = results["patients"][clinical.NOISY_OR]["local_birch"]["any"]
    assert cell["estimate"] == pytest.approx(roc.auroc(scores.truth[:, 0], scores.scores[:, 0]))
    table = results["patient_calibration"]
    assert list(table) == [*clinical.AGGREGATIONS, clinical.NOISY_OR]
    cell = table[clinical.NOISY_OR]["local_birch"]["any"]
    brier = metrics.brier_score_loss(scores.truth[:, 0], scores.scores[:, 0])
    assert cell["brier"] == pytest.approx(brier)
    assert cell["predicted"] == pytest.approx(scores.scores[:, 0].mean())
    assert cell["observed"] == pytest.approx(scores.truth[:, 0].mean())
    for model in ("federated", "central"):
        assert (
            table[clinical.NOISY_OR][model]["any"]["brier"]
            < table["maximum"][model]["any"]["brier"]
        )


def test_without_validation_patients_there_is_no_noisy_or(built):
    data = _select(built, "federated")
    nobody = predictions.select(data, np.zeros(data.image.size, bool))
    sections = clinical.sections({"federated": data}, {"federated": nobody}, level=0.95)
    assert np.isnan(sections["patients"][clinical.NOISY_OR]["federated"]["any"]["estimate"])
    assert np.isnan(sections["patients"][clinical.NOISY_OR]["federated"]["macro"]["estimate"])
    cell = sections["patient_calibration"][clinical.NOISY_OR]["federated"]["any"]
    assert np.isnan([*cell.values()]).all()
    assert not np.isnan(sections["patients"]["maximum"]["federated"]["any"]["estimate"])
