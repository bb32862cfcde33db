"""A run is a pure function of settings and seed; its numbers are those of the layouts below it."""

import jax
import numpy as np
import pytest

from configs import digits_skew
from fl_jax.experiment.runners.digits import digits

SETTINGS = digits_skew.base().to_dict() | {
    "rounds": 3,
    "epochs": 1,
    "sites": 4,
    "min_sites": 3,
    "alpha": 1.0,
}


@pytest.fixture(scope="module")
def run():
    return digits((0, 1))


def test_results_and_purity(run):
    first, again, other = (run(SETTINGS, seed) for seed in (0, 0, 1))
    assert first == again
    assert first["test_loss"] != other["test_loss"]
    assert len(first["test_accuracy_by_round"]) == 3
    assert first["test_accuracy"] == first["test_accuracy_by_round"][-1]
    assert first["val_loss_by_round"][2] < first["val_loss_by_round"][0]


def test_sites_count_by_their_images_or_equally(run):
    equal = run(SETTINGS | {"weighting": "equal"}, 0)
    assert equal["test_loss"] != run(SETTINGS, 0)["test_loss"]


def test_another_seed_or_rate_compiles_nothing_anew(run):
    compiled = []

    def count(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(seconds)

    run(SETTINGS, 0)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        run(SETTINGS | {"client_lr": 0.2}, 0)
        run(SETTINGS, 1)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert not compiled


def test_the_streamed_run_is_the_scanned_one(run):
    alone = SETTINGS | {
        "sites": 1,
        "min_sites": 1,
        "client_lr": 0.05,
    }  # with one site nothing is handed on
    chained = run(alone | {"algorithm": "cyclic()"}, 0)
    plain = run(alone, 0)
    assert chained.keys() == plain.keys()
    for name in ("test_loss_by_round", "val_own_accuracy"):
        np.testing.assert_allclose(chained[name], plain[name], rtol=1e-4)


def test_a_global_model_on_each_sites_digits_is_right_as_often_as_on_all(run):
    results = run(SETTINGS, 0)  # all sites together hold the digits in the test set's proportion
    assert results["test_own_accuracy"] == pytest.approx(results["test_accuracy"], abs=0.01)


def test_own_models_alone_are_judged_where_there_is_no_global_one(run):
    heads = SETTINGS | {"algorithm": "fed_per(local='^Dense_1/')", "global_model": False}
    results = run(heads, 0)
    assert sorted(results) == ["test_own_accuracy", "val_own_accuracy"]
    assert results["test_own_accuracy"] > run(SETTINGS, 0)["test_own_accuracy"]


def test_the_fault_is_heard_and_the_target_counted(run):
    flipped = run(SETTINGS | {"faults": ("sign_flip(sites=4, scale=1.0)",)}, 0)
    assert flipped["test_loss"] > run(SETTINGS, 0)["test_loss"]
    assert flipped["rounds_to_target"] is None
    assert run(SETTINGS | {"target": 0.0}, 0)["rounds_to_target"] == 1


@pytest.mark.parametrize("algorithm", ["fed_avg()", "cyclic()"])
def test_faults_of_the_plan_and_of_the_labels(run, algorithm):
    settings = SETTINGS | {"algorithm": algorithm, "min_sites": 4, "client_lr": 0.03}
    plain = run(settings, 0)
    nobody = run(settings | {"faults": ("absent(4)",)}, 0)
    assert len(set(nobody["test_loss_by_round"])) == 1  # no round is used
    for fault in (
        "absent(2)",
        "drop_out(2)",
        "straggle(2, done=0.1)",
        "label_flip(2, how='reverse')",
    ):
        other = run(settings | {"faults": (fault,)}, 0)
        assert other["test_loss"] != plain["test_loss"], fault
        assert np.isfinite(other["test_loss"]), fault
    assert run(settings | {"faults": ("absent(2)",)}, 0)["test_loss"] == pytest.approx(
        run(settings | {"faults": ("drop_out(2)",)}, 0)["test_loss"], rel=1e-5
    )


def test_a_batch_of_all_that_a_site_has(run):
    results = run(SETTINGS | {"batch_size": 0, "client_lr": 1.0}, 0)
    assert (
        results["test_loss"] < run(SETTINGS | {"batch_size": 0, "client_lr": 1e-6}, 0)["test_loss"]
    )


@pytest.mark.parametrize("name", ["model", "optimizer", "algorithm", "aggregator", "faults"])
def test_a_misspelt_name(run, name):
    with pytest.raises(ValueError, match="mispelt"):
        run(SETTINGS | {name: ("mispelt()",) if name == "faults" else "mispelt()"}, 0)
