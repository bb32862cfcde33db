"""Gains over local models, and how personalised models change them."""

import json
import shutil

import fake_experiment
import numpy as np
import pytest
from browser import text_of

from fl_jax.evaluation import predictions
from fl_jax.evaluation.comparisons import holm
from fl_jax.evaluation.delong import area, contrast
from fl_jax.report import figures, gains, headline, journal
from fl_jax.report.build import build
from fl_jax.report.results import counts
from fl_jax.workdir import Workdir


@pytest.fixture(scope="module")
def personal(finished, tmp_path_factory):
    """The fake experiment with a perfect personal model, and its results."""
    workdir = tmp_path_factory.mktemp("personal") / "work"
    shutil.copytree(finished, workdir)
    fake_experiment.add_personal(workdir)
    build(Workdir(workdir), resamples=60, thumbnails=fake_experiment.heads)
    return workdir, json.loads((workdir / "results.json").read_text())


def test_gains_and_their_tests_are_of_the_personal_models_too(personal):
    workdir, results = personal
    tests = results["delong_differences"]["personal_minus_local"]
    for site, gain in results["gains"].items():
        local = results["performance"][site][f"local_{site}"]["auroc"]["micro"]["estimate"]
        assert gain["personal"]["own"]["auroc/micro"]["estimate"] == pytest.approx(1 - local)
        few = results["data_sets"][site]["too_few"]
        assert gain["personal"]["verdict"] == ("too few to say" if few else "gains")
        assert "holdout" not in gain["personal"]
    mine, local = (
        predictions.read(workdir / "predictions" / f"{name}.csv")
        for name in ("personal", "local_birch")
    )
    both = []
    for data in (mine, local):
        rows = predictions.select(data, (data.split == "test") & (data.site == "birch"))
        both.append(predictions.select(rows, np.argsort(rows.image)))
    labels = both[0].truth.shape[1]
    _, patients = np.unique(np.repeat(both[0].patient, labels), return_inverse=True)
    areas = [area(rows.truth.ravel(), rows.scores.ravel(), patients) for rows in both]
    wanted = contrast(areas, [1, -1])
    test = tests["birch"]["local_birch"]["micro"]
    assert (test["estimate"], test["p"]) == pytest.approx((wanted.estimate, wanted.p))
    assert len(tests) == len(fake_experiment.SITES)
    tested = [rows for site, rows in tests.items() if not results["data_sets"][site]["too_few"]]
    family = [row["micro"] for rows in tested for row in rows.values()]
    assert len(family) == 3 * len(fake_experiment.SITES)
    adjusted = holm([row["p"] for row in family])
    assert [row["p_holm"] for row in family] == pytest.approx(adjusted.tolist())


def test_nobody_elses_numbers_change(personal, built):
    _, results = personal
    before = json.loads((built / "results.json").read_text())
    for site, gain in results["gains"].items():
        assert gain["own"].keys() == before["gains"][site]["own"].keys()
        assert gain["verdict"] == before["gains"][site]["verdict"]
    tests = "delong_differences", "federated_minus_local"
    assert results[tests[0]][tests[1]] == before[tests[0]][tests[1]]
    assert "holdout" not in results["personal_minus_central"]
    assert set(results["personal_minus_central"]) == {*fake_experiment.SITES, "all_sites"}
    assert before["personal_minus_central"] == {}
    assert before["delong_differences"]["personal_minus_local"] == {}


def test_the_page_speaks_of_both_and_names_them(personal):
    workdir, results = personal
    text = text_of((workdir / "report.html").read_text())
    assert "the federation's global model reaches an AUROC of" in text
    assert (
        "fed_avg(keep_optimizer=True) personalises it for each hospital: on the test patients of all"
        in text
    )
    assert "personalised models reach 1.000 (no interval)" in text
    assert "3 of 5 hospitals gain over their local models" in text
    assert "dogwood and elm have too few patients to say" in text
    assert "Hospitals that gain from personalised models 3 of 5" in text
    assert "Gain is personal − local" in text
    assert "Gain is federated − local" in text
    assert "personal − central" in text
    (axes,) = figures.draw(results)["gain"].axes
    assert set(axes.get_legend_handles_labels()[1]) == {
        "personalised model, its own test patients",
        "global model, its own test patients",
        "global model, hold-out",
    }
    rows = journal.printed_tables(results)["gains"].rows
    assert [row[1] for row in rows] == ["personal"] * 5 + ["federated"] * 5


def test_personal_models_are_one_more_column_which_the_hold_out_does_not_have(personal, built):
    workdir, results = personal
    assert results["models"][-1] == "personal"
    for site in fake_experiment.SITES:
        cell = results["cross_site"][site]["personal"]["auroc/micro"]
        assert (cell["estimate"], cell["rank"]) == (1, 1)
    assert results["ranks"]["auroc/micro"]["personal"]["estimate"] == 1
    cell = results["cross_site"]["holdout"]["personal"]["auroc/micro"]
    assert (cell["estimate"], cell["rank"]) == (None, None)
    assert cell["undefined"] == cell["resamples"] == 60
    assert results["not_applicable"] == {
        name: [] for name in [*fake_experiment.SITES, "all_sites"]
    } | {"holdout": ["personal"]}
    page = (workdir / "report.html").read_text()
    assert page.count(">n/a<") == 2  # the micro and the macro table
    assert "not applicable (n/a) to the hold-out" in text_of(page)
    assert "Local model of personal" not in page
    plain = (built / "report.html").read_text()
    assert "n/a" not in text_of(plain)
    assert "ersonal" not in plain
    before = json.loads((built / "results.json").read_text())  # nobody else's numbers change
    for name in ("federated_minus_central", "roc", "cases"):
        assert results[name] == before[name]


def test_caveats_adjust_for_all_tests_and_name_sites_with_few_patients():
    interval = {"auroc/micro": {"estimate": 0.1, "low": 0.01, "high": 0.2}}
    results = {
        "primary": {"statistic": "auroc/micro"},
        "performance": {},
        "data_sets": {
            "a": {"patients": gains.FEW_PATIENTS - 1},
            "b": {"patients": gains.FEW_PATIENTS},
        },
        "gains": {site: {"own": interval, "verdict": "gains"} for site in "ab"},
        "delong_differences": {
            "federated_minus_local": {
                "a": {"local_a": {"micro": {"p_holm": 0.051}}},
                "b": {"local_b": {"micro": {"p_holm": 0.049}}},
            }
        },
    }
    assert headline.caveats(results) == (
        "After Holm's adjustment over all 2 tests of the federated against local models, b still differs; "
        "with fewer than 20 test patients (a), intervals are too narrow and p too small."
    )
    results["gains"] = {site: {"own": interval, "verdict": "unclear"} for site in "ab"}
    assert headline.caveats(results) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.001, 0.1, "gains"),
        (-0.1, -0.001, "loses"),
        (-0.1, 0.1, "unclear"),
        (0.0, 0.1, "unclear"),
        (float("nan"), 0.1, "too few to say"),
        (-0.1, -0.1, "too few to say"),  # no width: no precision
        (0.0, 0.0, "unclear"),  # the same model
    ],
)
def test_verdicts(low, high, expected):
    assert gains.verdict({"low": low, "high": high}) == expected


@pytest.fixture(scope="module")
def lonely(finished, tmp_path_factory):
    """The fake experiment with one test patient at elm, and its results."""
    workdir = tmp_path_factory.mktemp("lonely") / "work"
    shutil.copytree(finished, workdir)
    for path in (workdir / "predictions").glob("*.csv"):
        data = predictions.read(path)
        here = (data.site == "elm") & (data.split == "test")
        bleeding = set(data.patient[here & (data.truth[:, 0] == 1)])
        one = min(bleeding & set(data.patient[here & (data.truth[:, 0] == 0)]))
        predictions.write(path, predictions.select(data, ~here | (data.patient == one)))
    build(Workdir(workdir), resamples=20, thumbnails=fake_experiment.heads)
    return workdir, json.loads((workdir / "results.json").read_text())


def test_one_patient_says_nothing(lonely):
    workdir, results = lonely
    size, gain = results["data_sets"]["elm"], results["gains"]["elm"]
    assert (size["patients"], size["patients_with_bleed"], size["too_few"]) == (1, 1, True)
    interval = gain["own"]["auroc/micro"]
    assert interval["low"] == interval["high"] != 0  # so it would be a clear gain or loss
    assert gain["verdict"] == "too few to say"
    tests = results["delong_differences"]["federated_minus_local"]["elm"].values()
    assert {(row[kind]["p"], row[kind]["p_holm"]) for row in tests for kind in row} == {
        (None, None)
    }
    untested = [
        cell["p"] is None
        for site, cells in results["delong_differences"]["federated_minus_central"].items()
        for cell in cells.values()
        if results["data_sets"][site]["too_few"]
    ]
    assert len(untested) > 8
    assert all(untested)
    assert results["delong_differences"]["federated_minus_central"]["holdout"]["micro"]["p"]
    worst = {row["site"] for row in results["worst_site"]["auroc/micro"].values()}
    assert worst <= {"alder", "birch", "cedar"}
    page = text_of((workdir / "report.html").read_text())
    assert "elm have too few patients to say" in headline.sentence(results)
    assert "2 too few to say" in page
    (axes,) = figures.draw(results)["gain"].axes
    assert "elm (1)\ntoo few to say" in [text.get_text() for text in axes.get_yticklabels()]
    assert (
        "Elm, 1 of 1 test patients with a bleed: too few to say"
        in (workdir / "model_card.md").read_text()
    )
    assert (
        r"elm & federated & +0.031 & no interval & -- & too few to say \\"
        in (workdir / "tables" / "gains.tex").read_text()
    )
    assert "(too few to say)" in (workdir / "reporting_checklist.md").read_text()


def test_five_patients_with_and_five_without_are_enough():
    def data(bleeding, others):
        patient = np.arange(bleeding + others).astype(str)
        truth = np.zeros((patient.size, 6), np.uint8)
        truth[:bleeding, 0] = 1
        none = np.full(patient.size, "a")
        return predictions.Predictions(patient, patient, none, none, truth, truth.astype(float))

    enough = [(n, m) for n in range(8) for m in range(8) if not counts({"": data(n, m)})["too_few"]]
    assert enough == [(n, m) for n in range(5, 8) for m in range(5, 8)]
