import numpy as np
import pytest
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation.bootstrap import difference, intervals
from fl_jax.evaluation.bootstrap_metrics import measure
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas


def test_patients_give_wider_intervals_than_slices_where_slices_agree():
    data = cohort(slices=20)
    data = data._replace(truth=np.repeat(data.truth[::20], 20, axis=0))  # one truth a patient
    errors = label_areas(data)
    resampled = intervals(measure(data))
    for name in ("micro", "macro", "any"):
        wide, naive = (delong_estimates(errors, by_patient=by)[name] for by in (True, False))
        assert wide.high - wide.low > 1.5 * (naive.high - naive.low)
        drawn = resampled[f"auroc/{name}"]
        assert wide.estimate == pytest.approx(drawn.estimate, abs=1e-12)
        assert wide.high - wide.low == pytest.approx(drawn.high - drawn.low, rel=0.2)


def test_delong_tests_a_paired_difference_of_every_area():
    first, second = cohort(shift=2.5), cohort(shift=2.0)
    found = delong_estimates(label_areas(first), label_areas(second))
    drawn = intervals(difference(measure(first), measure(second)))
    assert list(found) == [*LABELS, "macro", "micro"]
    for name, one in found.items():
        assert one.estimate == pytest.approx(drawn[f"auroc/{name}"].estimate, abs=1e-12)
    assert found["micro"].p < 1e-3
    assert found["micro"].low > 0


def test_delong_is_undefined_where_no_label_has_both_classes():
    data = cohort()
    empty = delong_estimates(label_areas(data._replace(truth=0 * data.truth)))
    assert np.isnan(list(empty.values())).all()
