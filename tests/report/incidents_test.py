"""Incidents are counted by model, reason and site."""

from fl_jax.report.incidents import DISCARDED, incidents
from fl_jax.workdir.schema import RoundRecord


def test_counts_by_reason_fault_and_site():
    rows = [
        RoundRecord(1, left_out={"a": "not finite"}, faults={"not_finite": ["a"]}),
        RoundRecord(2, left_out={"a": "not finite", "b": "absent"}, void=True),
        RoundRecord(3, faults={"sign_flip": ["b"], "not_finite": []}),
    ]
    tables = incidents({"federated": rows, "central": [RoundRecord(1)]})
    assert list(tables) == ["federated"]
    assert [tuple(row.values()) for row in tables["federated"]] == [
        ("refused", "absent", "b", [2]),
        ("refused", "not finite", "a", [1, 2]),
        ("round", DISCARDED, "", [2]),
        ("simulated", "not_finite", "a", [1]),
        ("simulated", "sign_flip", "b", [3]),
    ]
