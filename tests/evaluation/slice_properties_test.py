"""Properties by image, from small index and truth files. The report's table is tested with the report."""

import csv

import numpy as np
import pytest
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.data.index import COLUMNS
from fl_jax.evaluation import subgroups
from fl_jax.evaluation.slice_properties import SIZE, load, sections

SLICES = {"a": ("1.25", "0"), "b": ("5.0", "1"), "c": ("nan", "1")}


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="0", lineterminator="\n")
        writer.writeheader()
        for image, (thickness, signed) in SLICES.items():
            row = {"image": image, "thickness": thickness, "signed": signed, "bits_stored": "12"}
            writer.writerow(row | {"manufacturer": "M", "kernel": "K", "intercept": "-1024.0"})
    return path


def drawn(folder, areas):
    names = [f"area_{label}" for label in LABELS[1:]]
    lines = [",".join(["Image", *names])]
    lines += [",".join([image, str(area), *["0"] * 4]) for image, area in areas.items()]
    path = folder / "slices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_properties_of_the_requested_images_only(index):
    properties = load(index, images={"a", "b"})
    assert properties == {
        "slice thickness": {"a": "< 2.5 mm", "b": "≥ 5 mm"},
        "manufacturer": {"a": "M", "b": "M"},
        "kernel": {"a": "K", "b": "K"},
        "stored pixels": {
            "a": "12 bit unsigned, intercept -1024",
            "b": "12 bit signed, intercept -1024",
        },
    }
    assert load(index, images={"c"})["slice thickness"] == {"c": ""}
    assert load(index.with_name("absent.csv"), images={"a"}) == {}


def test_lesion_size_is_the_sum_over_subtypes(index, tmp_path):
    path = drawn(tmp_path, {"a": 99.0, "b": 100.0, "c": 500.0})
    sizes = load(index, [tmp_path / "absent.csv", path], images={*SLICES})[SIZE]
    assert sizes == {"a": "< 100 mm²", "b": "100 to < 500 mm²", "c": "≥ 500 mm²"}


def test_a_truth_table_that_lacks_some_images_is_refused(index, tmp_path):
    path = drawn(tmp_path, {"a": 1.0})
    with pytest.raises(ValueError, match="lacks 2 of 3 images, such as 'b'; make the cohort again"):
        load(index, [path], images={*SLICES})
    assert load(index, [drawn(tmp_path, {"z": 1.0})], images={*SLICES})[SIZE] == {}


def test_lesion_sizes_share_the_slices_without_a_lesion():
    data = cohort()
    bleeds = data.truth[:, LABELS.index("any")] == 1
    large = np.arange(data.image.size) % 2 == 0
    sizes = np.where(large, "≥ 500 mm²", "< 100 mm²")
    properties = {
        SIZE: dict(zip(data.image.tolist(), sizes.tolist(), strict=True)),
        "kernel": {},
    }
    result = sections({"federated": data, "local_a": data}, properties, level=0.95)
    assert list(result["table"]) == result["controls"] == [SIZE]
    assert list(result["table"][SIZE]) == ["federated"]
    rows = result["table"][SIZE]["federated"]
    assert list(rows) == ["< 100 mm²", "≥ 500 mm²"]  # ascending, not alphabetical
    assert rows["≥ 500 mm²"] == subgroups.table(data, sizes, controls=~bleeds)["≥ 500 mm²"]
    assert rows["≥ 500 mm²"]["slices"] == (large & bleeds).sum()
