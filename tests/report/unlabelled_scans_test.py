"""The table of what a model says of scans without labels: in order, without identifiers."""

import csv

import numpy as np
import pytest
from loose_scans import loose

from fl_jax.core.types import LABELS
from fl_jax.report import unlabelled_scans


@pytest.fixture(name="scans")
def _scans(slices):
    return loose(slices)


@pytest.fixture(name="scores")
def _scores():
    return np.linspace(0, 1, 48).reshape(8, 6)


def test_numbers_follow_the_names_and_slices_the_position(scans, scores):
    predicted = unlabelled_scans.collect(scans, scores)
    assert predicted.image.tolist() == ["a/5", "a/6", "a/7", "b/1", "b/0", "b/3", "b/4", "b/2"]
    assert predicted.series.tolist() == ["P1.1.1"] * 3 + ["P2.1.1"] * 2 + ["P2.1.2"] * 3
    assert predicted.patient.tolist() == ["P1"] * 3 + ["P2"] * 5
    assert predicted.study.tolist() == ["P1.1"] * 3 + ["P2.1"] * 5
    np.testing.assert_array_equal(predicted.scores, scores[predicted.row])
    np.testing.assert_array_equal(predicted.position, scans.position[predicted.row])
    with pytest.raises(ValueError, match="scores has shape"):
        unlabelled_scans.collect(scans, scores[:3])


def test_the_csv_has_every_probability_and_no_identifier(scans, scores, tmp_path):
    predicted = unlabelled_scans.collect(scans, scores)
    called = predicted.scores[:, 0] > 0.5
    unlabelled_scans.write(tmp_path / "predictions.csv", predicted, called)
    text = (tmp_path / "predictions.csv").read_text()
    lines = list(csv.DictReader(text.splitlines()))
    assert tuple(lines[0]) == unlabelled_scans.COLUMNS
    read = np.array([[float(line[label]) for label in LABELS] for line in lines])
    np.testing.assert_allclose(read, predicted.scores, atol=1e-9)
    assert lines[5]["position"] == "-2.5"
    assert [line["called"] == "1" for line in lines] == called.tolist()
    assert not any(name in text for name in ("DOE", "ROE", "1.2.3", "1.2.4"))
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_refusals_are_counted_by_reason_and_named_from_the_source(tmp_path):
    path = tmp_path / "refused.csv"
    lines = ["site,path,reason,detail", "loose,/s/a/1,not CT,Modality is 'MR'"]
    lines += [f"loose,/s/b/{n},truncated,short" for n in range(unlabelled_scans.MAX_REFUSED + 1)]
    path.write_text("\n".join(lines) + "\n")
    first, second = unlabelled_scans.refusals(path, "/s")
    assert (first.reason, first.number, len(first.files)) == (
        "truncated",
        201,
        unlabelled_scans.MAX_REFUSED,
    )
    assert second == ("not CT", 1, [("a/1", "Modality is 'MR'")])
    assert unlabelled_scans.refusals(path)[1].files[0][0] == "/s/a/1"
