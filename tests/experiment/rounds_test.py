import json
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from personal_problem import of_site
from reporters import Strict

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.ditto import ditto
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_rep import fed_rep
from fl_jax.algorithms.mime import mime
from fl_jax.core import layouts
from fl_jax.core.keys import stream
from fl_jax.core.types import LABELS
from fl_jax.data import partition as partitions
from fl_jax.evaluation.predictions import select
from fl_jax.experiment.arms import plan_arms
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.predict import predict_slices
from fl_jax.experiment.rounds import Training, train
from fl_jax.faults.fault import build_faults
from fl_jax.faults.transport import with_faults
from fl_jax.tasks.multi_label import multi_label

KEY = jax.random.key(0)


class Tiny(nn.Module):
    """Brightness of the four quarters, then a linear layer."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(len(LABELS))(nn.avg_pool(images, (4, 4), (4, 4)).reshape(len(images), -1))


@pytest.fixture(scope="module")
def partition(slices):
    return partitions.by_patient(slices, fractions=(0.5, 0.25, 0.25), seed=0)


def plan(slices, partition, **changes):
    arguments = {"rounds": 4, "epochs": 2, "min_sites": 2, "key": KEY} | changes
    return plan_arms(slices, partition, **arguments)


def test_every_arm_sees_as_many_examples_in_every_round(slices, partition):
    arms = plan(slices, partition)
    assert list(arms) == ["federated", "central", "local_a", "local_b", "local_c"]
    federated = np.where(arms["federated"].participating, arms["federated"].examples, 0).sum(1)
    assert not arms["federated"].participating.all()
    for arm in arms.values():
        np.testing.assert_array_equal(
            np.where(arm.participating, arm.examples, 0).sum(1), federated
        )
        assert arm.budget == federated.sum()
    balanced = plan(slices, partition, balanced=True)
    for name, arm in balanced.items():
        assert arm.balanced
        np.testing.assert_array_equal(arm.examples, arms[name].examples)


def test_a_budget_of_epochs_gives_a_local_model_its_own_passes(slices, partition):
    arms = plan(slices, partition, local_budget="epochs")
    for site in "abc":
        arm = arms[f"local_{site}"]
        np.testing.assert_array_equal(arm.examples, 2 * len(arm.train[0]) * np.ones((4, 1)))
    with pytest.raises(ValueError, match="local_budget='steps'"):
        plan(slices, partition, local_budget="steps")


def test_a_round_may_be_a_part_of_an_epoch(slices, partition):
    whole, half, little = (
        plan(slices, partition, epochs=epochs)["federated"].examples[0] for epochs in (1, 0.5, 1e-9)
    )
    np.testing.assert_allclose(half, whole / 2, atol=0.5)
    np.testing.assert_array_equal(little, 1)


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("epochs", 0), ("epochs", np.nan)])
def test_rounds_and_epochs_are_positive(slices, partition, name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: must be"):
        plan(slices, partition, **{name: value})


@pytest.mark.parametrize(("split", "said"), [("train", "training"), ("validation", "validation")])
def test_every_site_has_training_and_validation_slices(slices, partition, split, said):
    emptied = partition.split.copy()
    emptied[(partition.site == "b") & (partition.split == split)] = "test"
    with pytest.raises(ValueError, match=f"site 'b' has no {said} slices"):
        plan(slices, partition._replace(split=emptied))


def test_an_arm_sees_its_own_patients_and_no_others(slices, partition):
    arms = plan(slices, partition)
    for name, arm in arms.items():
        sites = set("abc") if name in ("federated", "central") else {name[-1]}
        rows = np.concatenate([*arm.train, arm.validation])
        assert set(slices.site[rows]) == sites
        assert len(set(rows)) == len(rows)
        train = set(slices.patient[np.concatenate(arm.train)])
        assert not train & set(slices.patient[arm.validation])
        other = partition.split[np.isin(partition.patient, list(train))]
        assert set(other) == {"train"}


def run(
    slices, partition, folder, name="federated", rounds=4, factory=fed_avg, faults=(), **options
):
    arm = plan(slices, partition, rounds=rounds)[name]
    task = multi_label(Tiny(), jnp.zeros((1, 8, 8)), prepare=lambda hu: hu[..., None] / 100)
    algorithm = factory(task.loss, optax.adam(0.05), keep_optimizer=True)
    params = task.init(stream(KEY, "init"))
    wrong = build_faults(faults, len(arm.sites))
    aggregator = with_faults(weighted_mean(), wrong)
    state = layouts.init(algorithm, aggregator, params, len(arm.sites), KEY)
    layout = layouts.sequential(algorithm, aggregator)
    every = options.pop("checkpoint_every", 1)
    training = Training(
        *(arm, task, slices, layout, state),
        batch_size=4,
        seed=0,
        personal=algorithm.personal,
        faults=wrong,
        **options,
    )
    store = Store(folder)
    progress = list(train(training, store, checkpoint_every=every, reporter=Strict()))
    return arm, task, progress


def without_times(record):
    return {k: v for k, v in record.items() if k not in ("seconds", "images_per_second")}


@pytest.mark.parametrize("factory", [fed_avg, fed_rep])
def test_a_run_in_two_halves_ends_with_the_same_bits(slices, partition, tmp_path, factory):
    factory = partial(factory, local="bias") if factory is fed_rep else factory
    _, _, whole = run(slices, partition, tmp_path / "whole", factory=factory)
    run(slices, partition, tmp_path / "halves", rounds=2, factory=factory)
    _, _, halves = run(slices, partition, tmp_path / "halves", factory=factory)
    assert [p.record["round"] for p in whole] == [1, 2, 3, 4]
    assert [p.record["round"] for p in halves] == [2, 3, 4]
    assert [p.restored for p in halves] == [True, False, False]
    assert without_times(whole[-1].record) == without_times(halves[-1].record)
    assert whole[-1].facts["best_round"] == halves[-1].facts["best_round"]
    jax.tree.map(np.testing.assert_array_equal, whole[-1].best, halves[-1].best)


def test_checkpoints_every_few_rounds(slices, partition, tmp_path):
    _, _, whole = run(slices, partition, tmp_path / "whole", rounds=5)
    _, _, sparse = run(slices, partition, tmp_path / "sparse", rounds=5, checkpoint_every=2)
    jax.tree.map(np.testing.assert_array_equal, whole[-1].best, sparse[-1].best)
    store = Store(tmp_path / "sparse", read_only=True)
    assert store.steps() == [5, 4]
    assert {path.split("/")[0] for path in store.read(5)[0]} == {"state", "best"}


def test_a_training_that_is_asked_to_stop_saves_its_round(slices, partition, tmp_path):
    arm = plan(slices, partition)["federated"]
    task = multi_label(Tiny(), jnp.zeros((1, 8, 8)), prepare=lambda hu: hu[..., None] / 100)
    algorithm = fed_avg(task.loss, optax.adam(0.05))
    state = layouts.init(algorithm, weighted_mean(), task.init(KEY), len(arm.sites), KEY)
    layout = layouts.sequential(algorithm, weighted_mean())
    training = Training(arm, task, slices, layout, state, batch_size=4, seed=0)
    store, done = Store(tmp_path), []
    for progress in train(training, store, checkpoint_every=9, stop=lambda: len(done) >= 1):
        done.append(progress.record["round"])
    assert done == [1, 2]
    assert store.steps() == [2]


def test_examples_of_a_round_with_two_exchanges_are_reported_once(slices, partition, tmp_path):
    class Counter(Strict):
        seen = 0

        def examples_seen(self, name, number):
            self.seen += number

    arm = plan(slices, partition, rounds=2)["federated"]
    task = multi_label(Tiny(), jnp.zeros((1, 8, 8)), prepare=lambda hu: hu[..., None] / 100)
    algorithm = mime(task.loss, optax.sgd(0.05))
    state = layouts.init(algorithm, weighted_mean(), task.init(KEY), len(arm.sites), KEY)
    layout = layouts.sequential(algorithm, weighted_mean())
    training = Training(arm, task, slices, layout, state, batch_size=4, seed=0)
    counter = Counter()
    progress = [*train(training, Store(tmp_path), reporter=counter)]
    assert counter.seen == sum(each.record["examples"] for each in progress) == arm.budget


FAULTS = ("stale(1, share=0.5)", "not_finite((1,), share=0.5)", "drop_out((2,), share=0.5)")


def test_faults_are_in_the_record_and_a_resumed_run_has_the_same(slices, partition, tmp_path):
    options = {"faults": FAULTS, "min_sites": 1}
    _, _, whole = run(slices, partition, tmp_path / "whole", rounds=8, **options)
    run(slices, partition, tmp_path / "halves", rounds=3, **options)
    _, _, halves = run(slices, partition, tmp_path / "halves", rounds=8, **options)
    records = [without_times(p.record) for p in whole]
    assert records[-5:] == [without_times(p.record) for p in halves[-5:]]
    jax.tree.map(np.testing.assert_array_equal, whole[-1].best, halves[-1].best)
    struck = {name for record in records for name in record["faults"]}
    assert struck == {"stale", "not_finite", "drop_out"}
    reasons = {reason for record in records for reason in record["left_out"].values()}
    assert reasons == {"stale", "not finite", "dropped out"}
    for record in records:
        assert set(record["left_out"]) <= set().union(*record["faults"].values(), [])
        assert not set(record["site_loss"]) & set(record["left_out"])
    json.dumps(records, allow_nan=False)


def test_a_void_round_is_recorded_or_stops_the_run(slices, partition, tmp_path):
    gone = {"faults": ("absent(3, share=0.7)",), "min_sites": 2}
    _, _, progress = run(slices, partition, tmp_path / "skip", rounds=6, **gone)
    void = [p.record["void"] for p in progress]
    assert 0 < sum(void) < 6
    for record in (p.record for p in progress):
        assert record["void"] == (len(record["site_loss"]) < 2)
    with pytest.raises(ValueError, match=r"round \d: only \d of at least 2 sites"):
        run(slices, partition, tmp_path / "stop", rounds=6, void="stop", **gone)


def test_the_best_round_is_that_of_the_highest_validation_auroc(slices, partition, tmp_path):
    _, _, progress = run(slices, partition, tmp_path)
    aurocs = [p.record["val_macro_auroc"] for p in progress]
    assert progress[-1].facts["best_round"] == 1 + int(np.argmax(aurocs))
    assert progress[-1].facts["best_val_macro_auroc"] == max(aurocs)


def test_the_best_model_is_finished_once_and_kept_so(slices, partition, tmp_path):
    _, _, plain = run(slices, partition, tmp_path / "plain")
    asked = []

    def finish(params):
        asked.append(params)
        return jax.tree.map(jnp.zeros_like, params)

    _, _, progress = run(slices, partition, tmp_path / "finished", finish=finish)
    _, _, again = run(slices, partition, tmp_path / "finished", finish=finish)
    (given,) = asked
    jax.tree.map(np.testing.assert_array_equal, given, plain[-1].best.params)
    assert without_times(progress[-1].record) == without_times(plain[-1].record)
    assert any(np.any(leaf) for leaf in jax.tree.leaves(progress[-2].best.params))
    for last in (progress[-1], again[-1]):
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(last.best.params))


def test_predictions_cover_own_validation_every_test_set_and_the_holdout(
    slices, partition, tmp_path
):
    arm, task, progress = run(slices, partition, tmp_path, name="local_b", rounds=1)
    predicted = predict_slices(arm, task, progress[-1].best, slices, partition)
    assert list(predicted) == ["local_b"]
    table = predicted["local_b"]
    assert set(table.site[table.split == "validation"]) == {"b"}
    assert set(table.site[table.split == "test"]) == set("abc")
    assert set(table.site[table.split == "holdout"]) == {"holdout"}
    assert len(set(table.image)) == len(table.image)
    row = list(slices.image).index(table.image[-1])
    logits = task.logits(progress[-1].best.params, slices.pixels[row][None])
    np.testing.assert_allclose(table.scores[-1], jax.nn.sigmoid(logits)[0], rtol=1e-5)


def test_each_site_predicts_its_own_patients_with_its_own_model(slices, partition, tmp_path):
    arm, task, progress = run(slices, partition, tmp_path, rounds=2, factory=ditto)
    model = progress[-1].best
    predicted = predict_slices(arm, task, model, slices, partition)
    assert list(predicted) == ["federated", "personal"]
    everything, personal = predicted["federated"], predicted["personal"]
    inside = everything.split != "holdout"
    assert not inside.all()
    for name in ("image", "patient", "site", "split", "truth"):
        np.testing.assert_array_equal(getattr(personal, name), getattr(everything, name)[inside])
    for number, image in enumerate(personal.image):
        row = list(slices.image).index(image)
        mine = of_site(model.personal, arm.sites.index(slices.site[row]))
        logits = task.logits(mine, slices.pixels[row][None])
        np.testing.assert_allclose(personal.scores[number], jax.nn.sigmoid(logits)[0], rtol=1e-5)
    assert np.abs(personal.scores - everything.scores[inside]).max() > 1e-3


def test_personal_models_are_validated_each_on_its_own_site(slices, partition, tmp_path):
    arm, task, progress = run(slices, partition, tmp_path, rounds=1, factory=ditto)
    predicted = predict_slices(arm, task, progress[-1].best, slices, partition)
    losses = {}
    for name, data in predicted.items():
        data = select(data, data.split == "validation")
        scores = np.clip(data.scores, 1e-12, 1 - 1e-12)
        losses[name] = -np.log(np.where(data.truth > 0, scores, 1 - scores)).mean()
    assert progress[-1].record["val_loss"] == pytest.approx(losses["personal"], rel=1e-6)
    assert losses["personal"] != pytest.approx(losses["federated"], rel=1e-4)
