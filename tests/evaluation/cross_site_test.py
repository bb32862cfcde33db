import json

import numpy as np
import pytest

from fl_jax.evaluation.bootstrap import Resampled
from fl_jax.evaluation.bootstrap_metrics import NAMES, undefined
from fl_jax.evaluation.comparisons import competition_ranks
from fl_jax.evaluation.cross_site import cross_site


def _resampled(macro: float, micro: float = 0.5) -> Resampled:
    estimate = np.array([macro, micro])
    return Resampled(("auroc/macro", "auroc/micro"), estimate, estimate[:, None] + np.zeros((2, 9)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.9, 0.8, 0.95], [2, 3, 1]),
        ([0.9, 0.9, 0.8], [1, 1, 3]),
        ([np.nan, 0.8, 0.9], [np.nan, 2, 1]),
    ],
)
def test_ranks_by_hand(values, expected):
    ranks = competition_ranks(np.array(values).reshape(1, -1, 1))
    assert ranks.ravel().tolist() == pytest.approx(expected, nan_ok=True)


def test_the_matrix_is_data_site_by_model():
    measured = {
        "north": {"federated": _resampled(0.9), "local_north": _resampled(0.92)},
        "south": {"federated": _resampled(0.8), "local_north": _resampled(np.nan)},
    }
    matrix = cross_site(measured)
    assert json.loads(json.dumps(matrix["north"]["local_north"]["auroc/macro"])) == {
        "estimate": 0.92,
        "low": 0.92,
        "high": 0.92,
        "undefined": 0,
        "resamples": 9,
        "rank": 1,
    }
    assert matrix["north"]["federated"]["auroc/macro"]["rank"] == 2
    assert matrix["north"]["federated"]["auroc/micro"]["rank"] == 1
    assert matrix["south"]["federated"]["auroc/macro"]["rank"] == 1
    assert matrix["south"]["local_north"]["auroc/macro"]["rank"] is None


def test_a_model_that_is_not_applicable_is_undefined_in_every_resample_and_has_no_rank():
    rng = np.random.default_rng(0)
    known = Resampled(
        NAMES,
        rng.random(len(NAMES)),
        rng.random((len(NAMES), 9)),
    )
    matrix = cross_site({"holdout": {"personal": undefined(9), "federated": known}})
    assert matrix["holdout"]["federated"]["auroc/micro"]["rank"] == 1
    cell = matrix["holdout"]["personal"]["auroc/micro"]
    assert np.isnan([cell["estimate"], cell["low"], cell["high"]]).all()
    assert (cell["undefined"], cell["resamples"], cell["rank"]) == (9, 9, None)


def test_a_hole_in_the_matrix_is_refused():
    with pytest.raises(ValueError, match=r"measured\['south'\] holds the models \[\]"):
        cross_site({"north": {"central": _resampled(1)}, "south": {}})
    with pytest.raises(ValueError, match=r"\['central'\] lacks the statistic 'auroc/macro'"):
        cross_site({"north": {"central": _resampled(1)._replace(names=("f1", "auroc/micro"))}})
