import numpy as np
import pytest
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation import subgroups
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import select


def test_rows_are_the_statistics_of_their_slices():
    data = cohort(patients=40)
    scanner = np.where(data.patient < "p025", "A", "B")
    found = subgroups.table(data, scanner)
    assert list(found) == ["A", "B"]
    mine = select(data, scanner == "A")
    row = found["A"]
    assert (row["suppressed"], row["patients"], row["slices"]) == (False, 25, 200)
    assert row["positives"] == dict(zip(LABELS, mine.truth.sum(axis=0).tolist(), strict=True))
    expected = delong_estimates(label_areas(mine))["micro"]
    assert row["auroc"]["micro"] == expected._asdict()


def test_few_patients_leave_nothing_to_read():
    data = cohort(patients=30)
    column = np.where(data.patient < "p009", "rare", "")
    found = subgroups.table(data, column)
    assert found["rare"] == {"suppressed": True}
    assert found[""]["patients"] == 21
    assert not subgroups.table(data, column, minimum=9)["rare"]["suppressed"]


def test_a_property_of_bleeds_is_told_apart_from_slices_without_one():
    data = cohort()
    truth = np.repeat(data.truth[:, :1], len(LABELS), axis=1)
    data = data._replace(truth=truth)
    without = truth[:, 0] == 0
    size = np.where(data.patient < "p020", "small", "large")
    found = subgroups.table(data, size, controls=without)
    assert list(found) == ["large", "small"]
    small = select(data, without | (size == "small"))
    expected = delong_estimates(label_areas(small))["any"]
    assert found["small"]["auroc"]["any"] == expected._asdict()
    assert found["small"]["slices"] == found["small"]["positives"]["any"] < small.truth.size
    alone = subgroups.table(data, np.where(without, "", size))
    assert np.isnan(alone["small"]["auroc"]["any"]["estimate"])


def test_ranges_by_hand():
    found = subgroups.ranges([0, 2.9, 3, 5.99, 6, np.nan], [3, 6], "mm")
    assert found.tolist() == ["< 3 mm", "< 3 mm", "3 to < 6 mm", "3 to < 6 mm", "≥ 6 mm", ""]
    assert subgroups.ranges([1], [2]).tolist() == ["< 2"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: subgroups.table(cohort(), ["a"]), r"column has shape \(1,\)"),
        (lambda: subgroups.table(cohort(), np.full(320, "a"), minimum=0), "minimum=0"),
        (
            lambda: subgroups.table(cohort(), np.full(320, "a"), controls=[True]),
            r"controls has shape \(1,\)",
        ),
        (lambda: subgroups.ranges([1], []), r"edges=\[\]"),
        (lambda: subgroups.ranges([1], [2, 2]), r"edges=\[2, 2\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
