"""Subgroups come from the dataset's index on disk, and are those of `evaluation.subgroups`."""

import csv
import json

import fake_experiment
import make_summary
import numpy as np
import pytest
from browser import text_of

from fl_jax.core.types import LABELS
from fl_jax.data.index import COLUMNS
from fl_jax.data.slices import identity
from fl_jax.evaluation import predictions, slice_properties, subgroups
from fl_jax.report.build import build
from fl_jax.workdir import Workdir
from fl_jax.workdir.schema import TissueTable


def _index(path, data):
    """Facts of every slice, by the patient's number; the last three patients have their own scanner."""
    path.parent.mkdir(parents=True)
    number = np.unique(data.patient, return_inverse=True)[1]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="0", lineterminator="\n")
        writer.writeheader()
        for image, patient in zip(data.image.tolist(), number.tolist(), strict=True):
            rare = patient > number.max() - 3
            writer.writerow(
                {
                    "image": image,
                    "patient": f"p{patient}",
                    "thickness": ("nan", "1.25", "5.0")[patient % 3],
                    "manufacturer": "rare" if rare else ("A", "B")[patient % 2],
                    "kernel": "H31s",
                    "bits_stored": "12",
                    "signed": "0",
                    "intercept": "-1024.0",
                }
            )


def _drawn(path, data):
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        names = [f"area_{label}" for label in LABELS[1:]]
        writer = csv.DictWriter(file, ["Image", *names], restval="0.0", lineterminator="\n")
        writer.writeheader()
        for row, image in enumerate(data.image.tolist()):
            areas = {"area_epidural": 30.0 * (row % 2), "area_subdural": 90.0}
            writer.writerow({"Image": image} | areas)


def _tissue(copy):
    """Amounts of tissue as an earlier report measured them: the dataset has no pixels."""
    images = sorted({*predictions.read(copy / "predictions" / "federated.csv").image.tolist()})
    built = identity(copy / "data")
    assert built.digest
    assert built.options
    amounts = np.linspace(1.0, 9.0, len(images)).tolist()
    source = (built.digest, dict(built.options))
    Workdir(copy).write_tissue(TissueTable(source, "cm²", images, amounts, amounts))


@pytest.fixture
def holdout(copy):
    """The hold-out of an experiment whose dataset's index is on disk."""
    data = predictions.read(copy / "predictions" / "federated.csv")
    data = predictions.select(data, data.split == "holdout")
    data = predictions.select(data, np.argsort(data.image))
    _index(copy / "data" / "slices" / "index.csv", data)
    make_summary.reseal(copy / "data")
    _tissue(copy)
    return data


def test_the_report_has_the_rows_of_the_index(copy, holdout):
    results = build(Workdir(copy), resamples=20, thumbnails=fake_experiment.heads)
    table = results["subgroups"]["table"]
    assert list(table) == ["slice thickness", "manufacturer", "kernel", "stored pixels"]
    assert list(table["slice thickness"]["federated"]) == ["< 2.5 mm", "≥ 5 mm", ""]
    assert list(table["stored pixels"]["central"]) == ["12 bit unsigned, intercept -1024"]
    number = np.unique(holdout.patient, return_inverse=True)[1]
    thin = np.where(number % 3 == 1, "thin", "other")
    expected = subgroups.table(holdout, thin)["thin"]
    row = table["slice thickness"]["federated"]["< 2.5 mm"]
    assert (row["patients"], row["slices"]) == (20, expected["slices"])
    assert row["auroc"]["micro"] == json.loads(json.dumps(expected["auroc"]["micro"]))
    assert table["manufacturer"]["federated"]["rare"] == {"suppressed": True}
    page = (copy / "report.html").read_text()
    text = text_of(page)
    assert "suppressed: too few patients" in text
    assert "12 bit unsigned, intercept -1024" in text
    cell = row["auroc"]["micro"]
    assert f"{cell['estimate']:.3f} {cell['low']:.3f}–{cell['high']:.3f}" in text


@pytest.mark.parametrize("where", ["cohort", "elsewhere"])
def test_the_size_of_a_bleed_is_known_where_the_cohort_was_drawn(copy, holdout, where):
    _drawn(copy / where / "truth" / "slices.csv", holdout)
    if where == "elsewhere":
        manifest = json.loads((copy / "manifest.json").read_text())
        manifest["config"]["source"] = str(copy / where)
        (copy / "manifest.json").write_text(json.dumps(manifest))
    sections = build(Workdir(copy), resamples=20, thumbnails=fake_experiment.heads)["subgroups"]
    rows = sections["table"][slice_properties.SIZE]["federated"]
    assert list(rows) == ["< 100 mm²", "100 to < 500 mm²"]
    bleeds = holdout.truth[:, 0] == 1
    small = np.where(np.arange(holdout.image.size) % 2 == 0, "small", "large")
    expected = subgroups.table(holdout, small, controls=~bleeds)
    for row, name in (("< 100 mm²", "small"), ("100 to < 500 mm²", "large")):
        assert rows[row]["slices"] == expected[name]["slices"] == expected[name]["positives"]["any"]
        assert rows[row]["auroc"]["any"]["estimate"] == expected[name]["auroc"]["any"]["estimate"]
    assert sections["controls"] == [slice_properties.SIZE]
    assert "compared with all slices without hemorrhage" in text_of(
        (copy / "report.html").read_text()
    )


def test_without_an_index_the_page_says_so(built):
    results = json.loads((built / "results.json").read_text())
    assert results["subgroups"]["table"] == {}
    assert "index is not in this workdir" in text_of((built / "report.html").read_text())


def test_a_dataset_of_other_images_has_no_subgroup(copy, holdout):
    path = copy / "data" / "slices" / "index.csv"
    path.write_text(path.read_text().replace("ID_", "OTHER_"))
    make_summary.reseal(copy / "data")
    assert (
        build(Workdir(copy), resamples=20, thumbnails=fake_experiment.heads)["subgroups"]["table"]
        == {}
    )


def test_a_broken_file_is_named(copy, holdout):
    _drawn(copy / "cohort" / "truth" / "slices.csv", holdout)
    path = copy / "cohort" / "truth" / "slices.csv"
    path.write_text(path.read_text().replace("area_subdural", "areas"))
    with pytest.raises(
        ValueError, match=r"slices.csv, line 1: columns \['area_subdural'\] are missing"
    ):
        build(Workdir(copy), resamples=20, thumbnails=fake_experiment.heads)
    (copy / "data" / "slices" / "index.csv").write_text("image\n")
    with pytest.raises(ValueError, match=r"index.csv, line 1: the first line must be"):
        build(Workdir(copy), resamples=20, thumbnails=fake_experiment.heads)
