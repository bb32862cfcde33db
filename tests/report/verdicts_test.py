"""Patients are judged worst first, in words that name slices by number, series and position."""

import csv
import os

import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.evaluation.call_rule import Rule, Threshold
from fl_jax.report import verdicts
from fl_jax.report.unlabelled_scans import ScanPredictions


def rule(of_slices=0.5, of_patients=0.7, subtype=0.6):
    chosen = [Threshold(of_slices, True, 9, 9, 9)] + 5 * [Threshold(0.3, True, 9, 9, 9)]
    known = not np.isnan(of_patients)
    patients = [Threshold(of_patients, known, 9, 9, 9)] + 5 * [Threshold(subtype, True, 9, 9, 9)]
    patients[1] = Threshold(float("nan"), False, 1, 9, 9)  # no threshold of epidural
    return Rule(tuple(chosen), tuple(patients), None)


@pytest.fixture(name="predicted")
def _predicted():
    """P1 with two series of 4 and 2 slices, P2 and P3 with 3 each."""
    patient = np.array(6 * ["P1"] + 3 * ["P2"] + 3 * ["P3"])
    scores = np.full((12, len(LABELS)), 0.05)
    scores[:, 0] = [0.1, 0.6, 0.75, 0.1, 0.2, 0.55, 0.1, 0.6, 0.2, 0.1, 0.9, 0.99]
    scores[10, 5], scores[11, 1] = 0.8, 0.95
    return ScanPredictions(
        row=np.arange(12),
        image=np.array([f"i{n:02d}" for n in range(12)]),
        patient=patient,
        study=np.char.add(patient, ".1"),
        series=np.array(4 * ["P1.1.1"] + 2 * ["P1.1.2"] + 3 * ["P2.1.1"] + 3 * ["P3.1.1"]),
        position=np.array([-5, 0, 5, 10, 0, 5, 0, 5, 10, 0, 5, 10], np.float32),
        scores=scores,
    )


def test_the_worst_patient_comes_first_and_the_sentence_names_its_slices(predicted):
    judged = verdicts.judge(predicted, rule())
    assert [(one.patient, one.called) for one in judged] == [
        ("P3", True),
        ("P1", True),
        ("P2", False),
    ]
    assert judged[0].subtypes == ["subdural"]  # epidural has no threshold by patient
    assert verdicts.sentence(judged[0], predicted) == (
        "P3 is called; probability of any hemorrhage 0.990. 2 of 3 slices are called, 2–3 of P3.1.1 "
        "(5 to 10 mm). Subtypes: subdural (0.800)."
    )
    assert "3 of 6 slices are called, 2–3 of P1.1.1 (0 to 5 mm); 2 of P1.1.2 (5 mm)." in (
        verdicts.sentence(judged[1], predicted)
    )
    assert verdicts.sentence(judged[1], predicted).endswith(
        "No subtype is named; the most probable is epidural (0.050)."
    )
    assert verdicts.sentence(judged[2], predicted) == (
        "P2 is not called, although 1 of 3 slices is called, 2 of P2.1.1 (5 mm); probability of any "
        "hemorrhage 0.600."
    )


def test_without_a_threshold_a_patient_is_called_if_a_slice_is(predicted):
    judged = verdicts.judge(predicted, rule(of_patients=float("nan"), of_slices=0.7))
    assert [(one.patient, one.called) for one in judged] == [
        ("P3", True),
        ("P1", True),
        ("P2", False),
    ]
    assert "; no slice is; probability" in verdicts.sentence(judged[2], predicted)


def test_the_table_of_patients(predicted, tmp_path):
    verdicts.write(tmp_path / "patients.csv", verdicts.judge(predicted, rule()))
    lines = list(csv.DictReader((tmp_path / "patients.csv").read_text().splitlines()))
    assert tuple(lines[0]) == verdicts.COLUMNS
    assert [(line["patient"], line["called"], line["called_slices"]) for line in lines] == [
        ("P3", "1", "2"),
        ("P1", "1", "3"),
        ("P2", "0", "1"),
    ]
    assert (lines[0]["subtypes"], lines[0]["any"]) == ("subdural", "0.99")
    assert os.listdir(tmp_path) == ["patients.csv"]


def test_of_many_slices_called_ones_and_their_neighbours_are_shown(predicted, monkeypatch):
    judged = verdicts.judge(predicted, rule())
    everything = [one.rows.tolist() for one in judged]
    assert [rows.tolist() for rows in verdicts.shown(judged, predicted)] == everything
    monkeypatch.setattr(verdicts, "EVERY", 11)
    kept = [rows.tolist() for rows in verdicts.shown(judged, predicted)]
    assert kept == [[9, 10, 11], [0, 1, 2, 3, 4, 5], [6, 7, 8]]
    monkeypatch.setattr(verdicts, "EACH", 2)  # the two most probable
    monkeypatch.setattr(verdicts, "FEW", 1)
    kept = [rows.tolist() for rows in verdicts.shown(judged, predicted)]
    assert kept == [[10, 11], [1, 2], [7]]
    none = verdicts.judge(predicted, rule(of_slices=0.995, of_patients=0.995))
    highest = [rows.tolist() for rows in verdicts.shown(none, predicted)]
    assert highest == [[10, 11], [1, 2, 3], [6, 7, 8]]
