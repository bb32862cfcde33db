import copy
import json
import re
import string

import pytest
from browser import text_of

from fl_jax.report import checklists, page
from fl_jax.report.build import build
from fl_jax.workdir import Workdir

CLAIM = [str(number) for number in range(1, 43)]
PARTS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
"""How many lettered parts an item of TRIPOD+AI has, where it has any."""
TRIPOD = [
    f"{number}{letter}"
    for number in range(1, 28)
    for letter in (string.ascii_lowercase[: PARTS[number]] if number in PARTS else [""])
]
OPEN = "for the authors"


@pytest.fixture(scope="module")
def results(built):
    return json.loads((built / "results.json").read_text())


def _changed(results, **parts):
    return {**copy.deepcopy(results), **parts}


def _answers(text):
    """Answers by item, of CLAIM and of TRIPOD+AI."""
    tables = []
    for part in text.split("\n## ")[1:]:
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in part.splitlines() if "|" in line]
        assert {len(row) for row in rows} == {3}
        tables.append({item.strip(): answer.strip() for item, _, answer in rows[2:]})
    return tables


def test_every_item_is_there_once_in_order_and_answered(results):
    claim, tripod = _answers(checklists.reporting_checklist(results))
    assert list(claim) == CLAIM
    assert list(tripod) == TRIPOD
    assert all((claim | tripod).values())
    assert claim["42"] == tripod["18a"] == OPEN
    assert checklists.reporting_checklist(results).count("\n| ") == len(CLAIM + TRIPOD) + 2


def test_every_decimal_is_of_the_results(results):
    known = set()

    def walk(value):
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                walk(item)
        elif isinstance(value, float):
            known.add(f"{abs(value):.3f}")

    walk({name: results[name] for name in results if name not in ("roc", "learning")})
    said = re.findall(r"\b\d\.\d{3}\b", checklists.reporting_checklist(results))
    assert len(said) > 50
    assert set(said) <= known


def test_changed_results_change_card_and_checklist(results):
    data = results["primary"]["data"]
    changed = _changed(results)
    changed["performance"][data]["federated"]["auroc"]["micro"]["estimate"] = 0.1234
    assert "| micro | 0.123 |" in checklists.model_card(changed)
    claim, tripod = _answers(checklists.reporting_checklist(changed))
    for answer in (claim["35"], claim["36"], tripod["23a"]):
        assert "federated 0.123 (" in answer


def test_counts_of_all_sites_are_summed(results):
    sites = {
        "alder": {"patients": 3, "slices": 70, "refused": {"not DICOM": 2}, "repairs": {"sign": 4}},
        "holdout": {"patients": 4, "slices": 80, "refused": {"not DICOM": 3, "no pixels": 1}},
    }
    split = {"alder": {"train": 2, "test": 1}, "elm": {"train": 5}, "holdout": {"holdout": 4}}
    claim, tripod = _answers(
        checklists.reporting_checklist(_changed(results, cohort={"sites": sites}, partition=split))
    )
    assert "Files refused: not DICOM (5), no pixels (1);" in claim["13"]
    assert "sign (4)" in claim["9"]
    assert "train 7 patients, test 1 patients, hold-out 4 patients." in claim["20"]
    assert "hold-out 4 patients, 80 slices" in claim["7"]
    assert tripod["6a"].startswith("1 hospital,")


def test_a_synthetic_cohort_is_called_so_and_real_patients_are_not(results):
    claim, tripod = _answers(checklists.reporting_checklist(results))
    assert "are simulated" in claim["7"]
    assert tripod["17"] == "No patient data were used."
    run = copy.deepcopy(results["run"])
    run["config"]["source"] = "/scans"
    unknown = {"table": {}, "minimum": 10}
    text = checklists.reporting_checklist(_changed(results, run=run, subgroups=unknown))
    claim, tripod = _answers(text)
    assert claim["5"] == claim["14"] == claim["16"] == tripod["5b"] == tripod["17"] == OPEN
    assert not re.search("synthetic: |simulated", text)
    assert "/scans" not in text
    drawn = {
        "table": {"size of the bleed in the slice": {}},
        "minimum": 10,
    }  # known of a drawn cohort alone
    claim, _ = _answers(checklists.reporting_checklist(_changed(results, run=run, subgroups=drawn)))
    assert "are simulated" in claim["7"]


def test_a_head_is_told_with_its_backbone(results):
    run = copy.deepcopy(results["run"])
    run["config"] |= {"backbone": "/runs/demo", "backbone_model": "own", "trainable": ""}
    changed = _changed(results, run=run)
    assert "reads all slices of a DICOM study in Hounsfield" in checklists.reporting_checklist(
        changed
    )
    assert "federated model of `/runs/demo`,\n  frozen." in checklists.model_card(changed)
    assert "model of the same name in <code>/runs/demo</code>" in page.render(changed)


def test_maps_are_told_where_they_are_of_this_model(results):
    share = {"estimate": 0.4321, "low": 0.4, "high": 0.5}
    maps = {"subtypes": {"epidural": {"share": share, "chance": {"estimate": 0.0321}}}}
    for current, wanted in ((True, "epidural 0.432 (0.400–0.500) and 0.032."), (False, "Not done")):
        saliency = maps | {"current": current}
        claim, _ = _answers(checklists.reporting_checklist(_changed(results, saliency=saliency)))
        assert wanted in claim["31"]


def test_a_bar_in_a_name_is_escaped(results):
    sites = {"a|b": {"patients": 3, "slices": 70}}
    claim, _ = _answers(checklists.reporting_checklist(_changed(results, cohort={"sites": sites})))
    assert "a\\|b 3 patients" in claim["7"]


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (["manifest.json"], "has no manifest"),
        (["data/summary.json"], "has no dataset summary"),
        (["partition.csv"], "Patients, DICOM studies and slices by hospital"),
        (["models/*/*"], "has no record of the training"),
        (["predictions/central.csv"], "with no central model to compare it with"),
        (["predictions/federated.csv"], "no predictions of a federated model"),
        (["predictions/local_*.csv"], "no local models"),
        (
            ["predictions/local_[b-e]*.csv"],
            "none of 1 hospitals gains over its local model and alder",
        ),
    ],
)
def test_what_is_not_on_disk_is_said_or_left_to_the_authors(copy, lost, words):
    for pattern in lost:
        for path in copy.glob(pattern):
            path.unlink()
    results = build(Workdir(copy), resamples=20)
    text = text_of((copy / "report.html").read_text())
    assert words in text
    assert "The dataset is not in this workdir" in text or (
        not results["cases"] and "No cases" in text
    )
    text = (copy / "reporting_checklist.md").read_text()
    claim, tripod = _answers(text)
    assert list(claim) == CLAIM
    assert list(tripod) == TRIPOD
    assert "None" not in re.sub(r"\bNone( by the software|\.| simulated|:)", "", text)
    assert "# Model card" in (copy / "model_card.md").read_text()
