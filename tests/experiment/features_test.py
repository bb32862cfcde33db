import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.data import pipeline
from fl_jax.experiment.features import extract, head_task, in_place_of_pixels
from fl_jax.tasks.fine_tune import train_only
from fl_jax.tasks.multi_label import multi_label

KEY = jax.random.key(0)
WEIGHTS = np.arange(1.0, 7.0)


class Model(nn.Module):
    """A backbone of one layer, and a head."""

    @nn.compact
    def __call__(self, x, features=False):
        x = nn.tanh(nn.Dense(5, name="body")(x.reshape(len(x), -1)))
        return x if features else nn.Dense(6, name="head")(x)


def prepare(hu):
    return jnp.asarray(hu, jnp.float32) / 100


@pytest.fixture
def whole(slices):
    return multi_label(Model(), slices.hu(np.arange(1)), prepare=prepare, positive_weights=WEIGHTS)


@pytest.fixture
def given(whole):
    return {"body": whole.init(jax.random.key(5))["body"]}


def trained(task, dataset):
    """Two rounds of two sites."""
    algorithm = fed_avg(task.loss, optax.adam(0.1), keep_optimizer=True)
    state = layouts.init(algorithm, weighted_mean(), task.init(KEY), 2, KEY)
    run = jax.jit(layouts.whole_round(algorithm, weighted_mean()))
    for number in range(2):
        sites = [
            [
                *pipeline.train_batches(
                    dataset, rows, batch_size=8, examples=20, seed=0, round_index=number, site=site
                )
            ]
            for site, rows in (("a", np.arange(20)), ("b", np.arange(20, 40)))
        ]
        steps = [jax.tree.map(lambda *x: np.stack(x), *batches) for batches in sites]
        stacked = jax.tree.map(lambda *x: np.stack(x), *steps)
        state, metrics = run(state, stacked, jnp.ones(2, bool))
    return state.server.params, metrics


def test_training_on_features_is_training_the_head_on_images(slices, whole, given):
    on_images = train_only(whole, "^head/", given)
    features = extract(Model(), {"params": given}, prepare, slices, batch_size=16)
    assert features.shape == (len(slices), 5)
    assert features.dtype == np.float32
    on_features = head_task(on_images, "head", 5, positive_weights=WEIGHTS)
    one, _ = trained(on_images, slices)
    other, metrics = trained(on_features, in_place_of_pixels(slices, features))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, other)
    np.testing.assert_array_equal(metrics["bytes"], 4 * (5 * 6 + 6) + 4)  # and the weight
    assert jnp.abs(one["head"]["bias"]).max() > 1e-3


def test_a_task_that_trains_more_than_the_head(whole):
    with pytest.raises(ValueError, match=r"must train that layer alone; .* '\^head/'"):
        head_task(whole, "head", 5)


@pytest.mark.parametrize("shape", [(3, 5), (5,)])
def test_features_of_another_dataset(slices, shape):
    with pytest.raises(ValueError, match="must be one finite row for each"):
        in_place_of_pixels(slices, np.zeros(shape, np.float32))


def test_features_that_are_not_finite(slices):
    with pytest.raises(ValueError, match="must be one finite row"):
        in_place_of_pixels(slices, np.full((len(slices), 2), np.nan, np.float32))
