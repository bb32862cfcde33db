import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.types import Batch
from fl_jax.models.deep_resnet import DeepResNet
from fl_jax.models.mlp import mlp
from fl_jax.tasks.fine_tune import initialize_from, layer_rates, train_only
from fl_jax.tasks.multi_label import multi_label

KEY = jax.random.key(0)
WEIGHT = 4  # bytes of the message's weight


@pytest.fixture
def task():
    return multi_label(mlp(2, (4, 4)), jnp.zeros((1, 3)))


@pytest.fixture
def given(task):
    params = task.init(jax.random.key(7))
    return {name: params[name] for name in ("Dense_0", "Dense_1")}


def batches(steps=2, sites=2, shape=(3,)):
    x = jax.random.normal(KEY, (sites, steps, 4, *shape))
    labels = (x.reshape(sites, steps, 4, -1)[..., :2] > 0).astype(jnp.float32)
    return Batch(x, labels, jnp.ones((sites, steps, 4)))


def one_round(task, optimizer=None):
    algorithm = fed_avg(task.loss, optimizer or optax.sgd(0.1))
    state = layouts.init(algorithm, weighted_mean(), task.init(KEY), 2, KEY)
    run = jax.jit(layouts.whole_round(algorithm, weighted_mean()))
    return run(state, batches(), jnp.ones(2, bool))


def test_what_is_given_is_where_it_begins(task, given):
    found, own = initialize_from(task, given).init(KEY), task.init(KEY)
    jax.tree.map(np.testing.assert_array_equal, found, given | {"Dense_2": own["Dense_2"]})


@pytest.mark.parametrize(
    "wrong", [{"Dense_9": {"bias": np.ones(4)}}, {"Dense_0": {"bias": np.ones(5)}}]
)
def test_what_the_model_has_not(task, wrong):
    with pytest.raises(ValueError, match=r"Dense_\d/bias are no parameters"):
        initialize_from(task, wrong).init(KEY)


def test_only_the_head_is_trained_sent_and_counted(task, given):
    head = train_only(task, "^Dense_2/", given)
    state, metrics = one_round(head)
    assert set(state.server.params) == {"Dense_2"}
    np.testing.assert_array_equal(metrics["bytes"], 4 * (4 * 2 + 2) + WEIGHT)
    whole, metrics = one_round(initialize_from(task, given))
    np.testing.assert_array_equal(
        metrics["bytes"], 4 * (3 * 4 + 4 + 4 * 4 + 4 + 4 * 2 + 2) + WEIGHT
    )
    assert set(whole.server.params) == {"Dense_0", "Dense_1", "Dense_2"}


def test_a_fixed_backbone_is_a_rate_of_zero(task, given):
    """Two ways to the same head: what is not there, and what does not move."""
    alone, _ = one_round(train_only(task, "^Dense_2/", given))
    still = layer_rates(optax.sgd(0.1), [("Dense_[01]", 0.0)])
    whole, _ = one_round(initialize_from(task, given), still)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        {**given, **alone.server.params},
        whole.server.params,
    )
    first = task.init(KEY)["Dense_2"]["kernel"]
    assert jnp.abs(alone.server.params["Dense_2"]["kernel"] - first).max() > 1e-3


def test_predictions_are_of_the_whole_model(task, given):
    head = train_only(task, "^Dense_2/", given)
    trained, x = head.init(KEY), jnp.ones((3, 3))
    np.testing.assert_array_equal(head.logits(trained, x), task.logits({**given, **trained}, x))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("Conv", "matches none"),
        ("Dense", "matches all"),
        ("Dense_0", "lacks Dense_2/bias, Dense_2/kernel, which would stay at random"),
    ],
)
def test_patterns_that_do_not_fit(task, given, pattern, message):
    with pytest.raises(ValueError, match=message):
        train_only(task, pattern, given).init(KEY)


def test_no_regular_expression(task, given):
    with pytest.raises(ValueError, match=r"pattern='\('"):
        train_only(task, "(", given)
    with pytest.raises(ValueError, match=r"pattern='\('"):
        layer_rates(optax.sgd(1.0), [("(", 1.0)])


@pytest.mark.parametrize(
    "pattern", ["([a-z]+/?)+!", "a*a*a*a*!", ".?" * 30 + "!", "(.|.)" * 9 + "!", "a|" * 101]
)
def test_a_pattern_that_would_search_for_ever(task, given, pattern):
    with pytest.raises(ValueError, match=r"repeats a group, or has over 200 char.*, such as"):
        train_only(task, pattern, given)
    with pytest.raises(ValueError, match="repeats a group"):
        layer_rates(optax.sgd(1.0), [(pattern, 1.0)])


def test_rates_by_hand():
    params = {"a": {"x": jnp.ones(2)}, "b": {"x": jnp.ones(2)}, "c": {"x": jnp.ones(2)}}
    optimizer = layer_rates(optax.sgd(0.1), [("^a", 0.5), ("a|b", 0.0)])
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert jax.tree.map(lambda u: round(float(u[0]), 6), updates) == {
        "a": {"x": -0.05},
        "b": {"x": 0.0},
        "c": {"x": -0.1},
    }


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_rates_out_of_range(rate):
    with pytest.raises(ValueError, match="must be at least 0, and finite"):
        layer_rates(optax.sgd(1.0), [("a", rate)])


@pytest.mark.parametrize("pair", ["()", ("a", "b"), ("a",), (1, 1.0), 1.0, None])
def test_rates_that_are_no_pairs(pair):
    with pytest.raises(ValueError, match="is no pair, such as"):
        layer_rates(optax.sgd(1.0), [pair])


def test_a_rate_of_no_leaf():
    with pytest.raises(ValueError, match="'d' determines the factor of no leaf; there are: a"):
        layer_rates(optax.sgd(1.0), [("a", 1.0), ("d", 0.1)]).init({"a": jnp.ones(1)})


class TestStatistics:
    """Batch normalisation with the running statistics of pretrained weights, which stay."""

    model = DeepResNet((1,), False, 1, 64, 0, 2, "batch", jnp.float32)
    images = jax.random.normal(KEY, (2, 16, 16, 3))

    def test_without_them_there_is_no_task(self):
        task = multi_label(self.model, self.images)
        with pytest.raises(ValueError, match=r"has \['batch_stats', 'params'\]"):
            task.init(KEY)

    def test_a_model_that_has_none(self):
        task = multi_label(nn.Dense(2), jnp.ones((1, 3)), frozen={"batch_stats": {}})
        with pytest.raises(ValueError, match=r"frozen=\['batch_stats'\]"):
            task.init(KEY)

    def test_they_stay_in_training(self):
        variables = self.model.init(KEY, self.images)
        moved = jax.tree.map(lambda leaf: leaf + 0.5, variables["batch_stats"])
        task = multi_label(self.model, self.images, frozen={"batch_stats": moved})
        params = task.init(KEY)
        wanted = self.model.apply({"params": params, "batch_stats": moved}, self.images)
        np.testing.assert_allclose(task.logits(params, self.images), wanted, rtol=1e-5)
        labels = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        loss = task.loss(params, Batch(self.images, labels, jnp.ones(2)), KEY)
        np.testing.assert_allclose(
            loss, optax.sigmoid_binary_cross_entropy(wanted, labels).mean(), rtol=1e-5
        )
