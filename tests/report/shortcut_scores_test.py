"""What a shortcut would score: in results.json, on the pages, in words and in the evaluation's CSV."""

import csv
import io
import json
import re

import numpy as np
import pytest
from browser import browse, text_of

from fl_jax.evaluation import predictions, shortcuts
from fl_jax.evaluation.predictions import select
from fl_jax.evaluation.tissue import CM2, Tissue
from fl_jax.report import labelled_scans, results, shortcut_scores
from fl_jax.report.build import build
from fl_jax.workdir import Workdir
from fl_jax.workdir.schema import TissueTable

BRIGHT = shortcuts.BRIGHT


def _tissue(data):
    """Area without a relation to the truth; bright tissue that is the truth itself."""
    evaluated = select(data, data.split != "validation")
    area = np.random.default_rng(0).uniform(50, 100, evaluated.image.size)
    return Tissue(evaluated.image, area, evaluated.truth[:, 0] * 9.0, CM2)


@pytest.fixture(name="tissue", scope="module")
def _read(finished):
    return _tissue(predictions.read(finished / "predictions" / "federated.csv"))


@pytest.fixture(name="workdir")
def _workdir(copy, tissue):
    image, soft, bright = (values.tolist() for values in tissue[:3])
    Workdir(copy).write_tissue(TissueTable(("d", {}), tissue.unit, image, soft, bright))
    (copy / "data" / "summary.json").unlink()  # the pixels are gone; the amounts are kept
    return copy


def test_the_report_has_every_model_next_to_the_shortcuts(workdir, tissue, tmp_path):
    build(Workdir(workdir), resamples=30)
    content = json.loads((workdir / "results.json").read_text())
    section = content["shortcuts"]
    assert section["missing"] is None
    assert list(section["data_sets"]) == ["holdout", "all_sites"]
    row = section["data_sets"]["holdout"]["slices"]
    assert [*row["auroc"]] == [*row["matched"]] == [*row["shortcuts"], *content["models"]]
    for model in content["models"]:
        reported = content["delong"]["holdout"][model]["any"]["estimate"]
        assert row["auroc"][model]["any"]["estimate"] == pytest.approx(reported)
    by_patient = section["data_sets"]["holdout"]["patients"]
    for model in content["models"]:
        reported = content["patients"]["maximum"][model]["macro"]["estimate"]
        assert by_patient["auroc"][model]["macro"]["estimate"] == pytest.approx(reported)
    assert row["solved"] == [BRIGHT]
    assert row["unit"] == CM2
    data = predictions.read(workdir / "predictions" / "central.csv")
    holdout = select(data, data.split == "holdout")
    alone = shortcuts.section({"central": holdout}, shortcuts.by_slice(tissue), resamples=30)
    assert alone["matched"]["central"]["any"] == row["matched"]["central"]["any"]
    dom, console = browse(workdir / "report.html", tmp_path)
    assert console == []
    text = text_of(dom)
    assert "What a shortcut would score" in text
    assert f"hold-out, by slice: {BRIGHT} 1.000" in text
    cell = row["matched"]["local_birch"]["any"]
    assert f"{cell['estimate']:.3f} {cell['low']:.3f}–{cell['high']:.3f}" in text


def test_without_pixels_and_stored_amounts_the_page_says_so(built):
    content = json.loads((built / "results.json").read_text())
    assert content["shortcuts"]["missing"] == "the dataset is missing"
    assert content["shortcuts"]["data_sets"] == {}
    assert "Unknown: the dataset is missing." in text_of((built / "report.html").read_text())


def test_tables_are_numbered_without_a_gap(workdir):
    build(Workdir(workdir), resamples=30)
    captions = re.findall(r"<b>Table (\d+)[.\dab]*</b>", (workdir / "report.html").read_text())
    numbers = [int(number) for number in captions]
    assert sorted({*numbers}) == [*range(1, max(numbers) + 1)]
    assert numbers == sorted(numbers)


@pytest.fixture(name="evaluation", scope="module")
def _evaluation(finished, tissue):
    data = predictions.read(finished / "predictions" / "federated.csv")
    patient = dict(zip(data.image.tolist(), data.patient.tolist(), strict=True))
    validation = results.visible_validation("federated", data)
    return labelled_scans.compute(
        {"federated": data, "theirs": data._replace(scores=data.scores / 2)},
        {"federated": validation, "theirs": validation},
        {},
        shortcuts=shortcut_scores.by_unit(tissue, patient),
        resamples=30,
    )


def test_an_evaluation_says_it_in_words_and_lines(evaluation):
    row = evaluation["shortcuts"]["data_sets"]["holdout"]["slices"]
    first, second, warning = labelled_scans.beside(evaluation)
    assert first.startswith(
        "A shortcut, by slice, would reach an AUROC for any hemorrhage of: area of "
    )
    assert f"; {BRIGHT} 1.000 (no interval). The federated model reaches" in first
    cell = row["matched"]["federated"]["any"]
    assert f", and {cell['estimate']:.3f} ({cell['low']:.3f}–{cell['high']:.3f}) on pairs" in first
    assert "differ by at most 10\u00a0%" in first
    assert second.startswith("A shortcut, by patient, ")
    assert warning.startswith("A shortcut solves these data to a good part")
    assert "all hospitals" not in warning
    lines = list(csv.DictReader(io.StringIO(labelled_scans.as_csv(evaluation))))
    keys = [tuple(line[name] for name in labelled_scans.KEYS) for line in lines]
    assert len({*keys}) == len(keys)
    found = [
        line
        for line in lines
        if line["data"] == "holdout"
        and line["model"] == "theirs"
        and line["statistic"] == "auroc on pairs of slices of like area"
    ]
    assert [line["label"] for line in found][-1] == "macro"
    assert float(found[0]["estimate"]) == row["matched"]["theirs"]["any"]["estimate"]
    page_text = text_of(labelled_scans.render(evaluation))
    assert warning.split("hold-out")[0].strip() in page_text


def test_without_a_pair_or_a_shortcut_that_solves_the_words_say_so(evaluation):
    row = evaluation["shortcuts"]["data_sets"]["holdout"]["slices"]
    changed = row | {"undefined": {"any": "no pair of like area"}, "solved": []}
    results_ = evaluation | {
        "shortcuts": {"missing": None, "data_sets": {"holdout": {"slices": changed}}}
    }
    (line,) = labelled_scans.beside(results_)
    assert line.endswith(", and there is no pair of slices of like area (no pair of like area).")
    assert "No shortcut has an AUROC" in text_of(labelled_scans.render(results_))
    missing = evaluation | {"shortcuts": {"missing": "no pixels", "data_sets": {}}}
    assert labelled_scans.beside(missing) == ["What a shortcut would score is unknown: no pixels."]


def test_studies_take_the_place_of_slices(finished, tissue):
    data = predictions.read(finished / "predictions" / "federated.csv")
    patient = dict(zip(data.image.tolist(), data.patient.tolist(), strict=True))
    study = {image: f"study of {name}" for image, name in patient.items()}
    given = shortcut_scores.by_unit(tissue, patient, study)
    assert list(given) == ["studies", "patients"]
    assert {name.removeprefix("study of ") for name in given["studies"].name} == {
        *given["patients"].name
    }
