"""Labelled scans get the report's statistics, and programs are compared in pairs."""

import csv
import io
import json
import re

import fake_experiment
import numpy as np
import pytest
from browser import browse, text_of

from fl_jax.evaluation import comparisons, predictions
from fl_jax.report import labelled_scans, results


@pytest.fixture(scope="module")
def models(finished):
    read = {
        name: predictions.read(finished / "predictions" / f"{name}.csv")
        for name in ("federated", "central", "local_elm")
    }
    return read | {"theirs": read.pop("local_elm")}


@pytest.fixture(scope="module")
def evaluation(models):
    validation = {name: results.visible_validation(name, data) for name, data in models.items()}
    lost = predictions.select(models["theirs"], np.zeros(models["theirs"].image.size, bool))
    return labelled_scans.compute(
        models, validation | {"theirs": lost}, {"what": "<b>'these'</b>"}, resamples=60
    )


def test_the_numbers_are_the_reports(evaluation, built):
    report = json.loads((built / "results.json").read_text())
    for data in (*fake_experiment.SITES, "all_sites", "holdout"):
        for model in ("federated", "central"):
            assert evaluation["delong"][data][model] == report["delong"][data][model]
            assert evaluation["performance"][data][model] == report["performance"][data][model]
    clinical = evaluation["clinical"]["holdout"]
    for part in ("operating_points", "calibration", "challenge_loss", "temperature"):
        assert clinical[part]["federated"] == report[part]["federated"]
    assert (
        clinical["patients"]["maximum"]["federated"] == report["patients"]["maximum"]["federated"]
    )
    assert evaluation["thresholds"]["federated"] == report["thresholds"]["federated"]
    gap = report["delong_differences"]["federated_minus_central"]["holdout"]["micro"]
    cell = evaluation["delong_differences"]["holdout"]["central"]["micro"]
    assert {name: cell[name] for name in gap} == gap
    assert (
        evaluation["differences"]["holdout"]["central"]
        == report["federated_minus_central"]["holdout"]
    )


def test_holm_is_over_all_programs_and_data_sets(evaluation):
    table = evaluation["delong_differences"]
    assert list(table) == [*fake_experiment.SITES, "all_sites", "holdout"]
    cells = [cell["micro"] for row in table.values() for cell in row.values()]
    assert len(cells) == 14
    known = lambda name: [np.nan if c[name] is None else c[name] for c in cells]  # noqa: E731
    np.testing.assert_allclose(comparisons.holm(known("p")), known("p_holm"))


def test_without_validation_images_only_the_fixed_operating_point_is_left(evaluation):
    points = evaluation["clinical"]["holdout"]["operating_points"]["theirs"]
    assert points["fixed_0.4"]["any"]["recall"]["estimate"] is not None
    assert points["youden"]["any"]["threshold"] is None
    assert points["youden"]["any"]["recall"]["estimate"] is None
    assert set(evaluation["thresholds"]["theirs"].values()) == {None}


def test_what_is_undefined_is_counted(evaluation):
    cells = [
        cell
        for model in evaluation["performance"]["holdout"].values()
        for labels in model.values()
        for cell in labels.values()
    ]
    missing = sum(cell["estimate"] is None for cell in cells)
    assert missing >= 24  # the operating points of the program without validation images
    counted = evaluation["undefined"]["holdout"]
    assert (counted["figures"], counted["of"]) == (missing, len(cells))
    assert counted["in_resamples"] == sum(
        cell["estimate"] is not None and cell["undefined"] > 0 for cell in cells
    )


def test_a_label_of_one_class_is_named_and_has_no_number(models):
    data = models["federated"]
    truth = data.truth.copy()
    truth[:, 1], truth[:, 2] = 0, 1
    data = data._replace(truth=truth)
    validation = results.visible_validation("federated", data)
    evaluation = labelled_scans.compute(
        {"federated": data}, {"federated": validation}, {}, resamples=20
    )
    lost = ["epidural", "intraparenchymal"]
    assert evaluation["data_sets"]["holdout"]["one_class"] == lost
    for label in lost:
        assert evaluation["delong"]["holdout"]["federated"][label]["estimate"] is None
    assert evaluation["delong"]["holdout"]["federated"]["macro"]["estimate"] is not None
    assert "hold-out: epidural, intraparenchymal" in text_of(labelled_scans.render(evaluation))


def test_one_site_is_not_tested_twice(models):
    data = {n: predictions.select(d, d.site == "alder") for n, d in models.items()}
    evaluation = labelled_scans.compute(data, data, {}, resamples=20)
    assert list(evaluation["data_sets"]) == ["alder"]
    assert evaluation["primary"] == "alder"


def test_the_csv_has_every_number_in_a_line_of_its_own(evaluation):
    lines = list(csv.DictReader(io.StringIO(labelled_scans.as_csv(evaluation))))
    assert tuple(lines[0]) == labelled_scans.KEYS + labelled_scans.VALUES
    keys = [tuple(line[name] for name in labelled_scans.KEYS) for line in lines]
    assert len(set(keys)) == len(keys)
    row = dict(zip(keys, lines, strict=True))
    line = row["holdout", "federated", "", "auroc", "micro", "DeLong, patients as clusters"]
    cell = evaluation["delong"]["holdout"]["federated"]["micro"]
    assert [float(line[n]) for n in ("estimate", "low", "high")] == [
        cell[n] for n in ("estimate", "low", "high")
    ]
    naive = row["holdout", "federated", "", "auroc", "micro", "DeLong, naive"]
    assert float(naive["low"]) == cell["naive_low"]
    assert evaluation["delong_differences"]["elm"]["theirs"]["micro"]["p"] is None  # too few
    tested = row["alder", "federated", "theirs", "auroc", "micro", "DeLong, patients as clusters"]
    test = evaluation["delong_differences"]["alder"]["theirs"]["micro"]
    assert (float(tested["p"]), float(tested["p_holm"])) == (test["p"], test["p_holm"])
    lost = row["holdout", "theirs", "", "threshold_at_youden", "any", ""]
    assert lost["estimate"] == ""
    drawn = row["holdout", "central", "", "average_precision", "micro", "bootstrap of patients"]
    ap = evaluation["performance"]["holdout"]["central"]["average_precision"]["micro"]
    assert float(drawn["high"]) == ap["high"]


def test_a_browser_shows_the_page(evaluation, tmp_path):
    path = tmp_path / "evaluation.html"
    path.write_text(labelled_scans.render(evaluation))
    dom, console = browse(path, tmp_path)
    assert console == []
    text = text_of(dom)
    assert labelled_scans.sentence(evaluation) in text
    for words in (
        "minus theirs",
        "minus central",
        "<b>'these'</b>",
        "Sensitivity 0.98 on validation data",
        "Brier score",
    ):
        assert words in text
    cell = evaluation["delong"]["holdout"]["central"]["micro"]
    assert f"{cell['estimate']:.4f} {cell['low']:.4f}–{cell['high']:.4f}" in text
    assert "://" not in path.read_text()


def test_bad_input_is_named(models):
    nobody = {
        name: predictions.select(data, data.split == "validation") for name, data in models.items()
    }
    with pytest.raises(
        ValueError, match="'federated' have no image of the splits test and holdout"
    ):
        labelled_scans.compute(nobody, nobody, {})
    other = dict(models)
    other["theirs"] = predictions.select(
        other["theirs"], other["theirs"].image != other["theirs"].image[9]
    )
    with pytest.raises(ValueError, match="'federated' and 'theirs' differ in 'image'"):
        labelled_scans.compute(other, other, {}, resamples=2)


def test_predictions_by_study_are_counted_in_studies(evaluation):
    by_study = evaluation | {"facts": {labelled_scans.BY_STUDY: "the largest of its slices"}}
    assert re.search(r", \d+ studies\) the ", labelled_scans.sentence(by_study))
    assert "Positive studies" in text_of(labelled_scans.render(by_study))


def test_the_shares_of_normal_and_bleeding_slices_called_are_printed(models, evaluation):
    seen = results.visible_validation("federated", models["federated"])
    normal = seen.truth[:, 0] == 0
    data = predictions.select(models["federated"], models["federated"].split == "holdout")
    threshold = np.sort(seen.scores[normal, 0])[int(np.ceil(0.9 * normal.sum())) :].min()
    expected = (data.scores[:, 0] > threshold - 1e-12)[data.truth[:, 0] == 0].mean()
    cell = evaluation["called"]["holdout"]["normal"]
    assert cell["estimate"] == pytest.approx(expected, abs=0.02)
    assert cell["low"] <= cell["estimate"] <= cell["high"]
    words = labelled_scans.called(evaluation)
    assert f"90\u00a0% specificity on {normal.sum()} normal slices of the" in words
    assert f"{100 * cell['estimate']:.1f} % (" in words
    assert " ".join(words.split()) in text_of(labelled_scans.render(evaluation))
    lines = [*csv.DictReader(io.StringIO(labelled_scans.as_csv(evaluation)))]
    shares = [row for row in lines if row["statistic"] == "share of normal called"]
    assert len(shares) == len(evaluation["data_sets"])


def test_a_threshold_that_validation_cannot_give_is_fixed_and_says_so(models):
    lost = predictions.select(models["federated"], np.zeros(models["federated"].image.size, bool))
    one = labelled_scans.compute(
        {"federated": models["federated"]}, {"federated": lost}, {}, resamples=20
    )
    assert "threshold 0.500 (fixed, because validation has 0 normal slices" in (
        labelled_scans.called(one)
    )
