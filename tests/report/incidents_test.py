"""What went wrong, counted by model, reason and site."""

from fl_jax.report.incidents import UNUSED, incidents


def test_counts_by_reason_fault_and_site():
    rows = [
        {"round": 1, "left_out": {"a": "not finite"}, "faults": {"not_finite": ["a"]}},
        {"round": 2, "left_out": {"a": "not finite", "b": "absent"}, "void": True},
        {"round": 3, "left_out": {}, "faults": {"sign_flip": ["b"], "not_finite": []}},
    ]
    found = incidents({"federated": rows, "central": [{"round": 1, "left_out": {}}]})
    assert list(found) == ["federated"]
    assert [tuple(row.values()) for row in found["federated"]] == [
        ("left out", "absent", "b", [2]),
        ("left out", "not finite", "a", [1, 2]),
        ("round", UNUSED, "", [2]),
        ("simulated", "not_finite", "a", [1]),
        ("simulated", "sign_flip", "b", [3]),
    ]


def test_rows_of_before_the_reasons():
    found = incidents({"federated": [{"round": 4, "left_out": ["a"]}]})
    assert [tuple(row.values()) for row in found["federated"]] == [
        ("left out", "not finite", "a", [4])
    ]
