"""Parts of a batch give the whole batch's value and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss
from personal_problem import begin, network_loss, network_params

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts, spec
from fl_jax.core.types import Batch
from fl_jax.models.layers.norm import Norm
from fl_jax.models.mlp import mlp
from fl_jax.tasks.losses.cross_entropy import cross_entropy
from fl_jax.tasks.micro_batches import accumulate
from fl_jax.tasks.mixup import mixup
from fl_jax.tasks.multi_label import multi_label

KEY = jax.random.key(0)


def batch(mask=(1, 1, 1, 1, 1, 0, 0, 0)):
    """The last quarter is padding alone, the one before has one real example of two."""
    draw = np.random.default_rng(0)
    hu = draw.integers(-50, 150, (8, 6, 6)).astype(np.int16)
    return Batch(hu, draw.integers(0, 2, (8, 3)).astype(np.float32), np.float32(mask))


def make(parts):
    """Everything at once: augmentation, mixed examples, weights of labels and of positives."""
    return multi_label(
        mlp(3, widths=(5,)),
        jnp.zeros((1, 6, 6), jnp.int16),
        prepare=lambda hu: jnp.asarray(hu, jnp.float32) / 100,
        augment=lambda key, hu: hu + 20 * jax.random.normal(key, hu.shape),
        positive_weights=np.array([3.0, 1.0, 2.0]),
        label_loss=cross_entropy(label_weights=(2, 1, 1), smoothing=0.1),
        mix=mixup(0.4),
        micro_batches=parts,
    )


@pytest.mark.parametrize("parts", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_value_and_gradient_are_the_whole_batch_s(parts):
    params = make(1).init(KEY)
    whole, of = (
        jax.jit(jax.value_and_grad(make(k).loss))(params, batch(), KEY) for k in (1, parts)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), whole, of)
    alone = jax.jit(make(parts).loss)(params, batch(), KEY)
    np.testing.assert_allclose(alone, whole[0], rtol=1e-6)


def test_nothing_real_and_masks_that_are_weights():
    params = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
    draw = np.random.default_rng(1)
    inputs, labels = np.float32(draw.normal(size=(4, 4))), np.float32(draw.integers(0, 2, (4, 2)))
    fit = lambda p, b: linear_loss(p, b, None)  # noqa: E731
    for mask in ([0, 0, 0, 0], [0.2, 0.0, 0.1, 0.4], [3, 0, 1, 2]):
        given = Batch(inputs, labels, np.float32(mask))
        whole = jax.value_and_grad(fit)(params, given)
        parts = jax.value_and_grad(accumulate(fit, 2))(params, given)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), whole, parts
        )


def test_each_part_is_as_small_as_it_is_said_to_be():
    seen = []

    def fit(params, batch):
        seen.append(batch.mask.shape)
        return (params * batch.mask).sum()

    jax.grad(accumulate(fit, 4))(jnp.ones(()), batch())
    assert set(seen) == {(2,)}


@pytest.mark.parametrize(
    "text", ["fed_sam()", pytest.param("scaffold(option=1)", marks=pytest.mark.slow)]
)
def test_algorithms_that_take_gradients_of_their_own(text):
    """In lock-step, so also under `vmap`."""
    draw = np.random.default_rng(2)
    batches = Batch(
        np.float32(draw.normal(size=(3, 2, 4, 4))),
        np.float32(draw.integers(0, 2, (3, 2, 4, 2))),
        np.float32(draw.integers(0, 2, (3, 2, 4))),
    )
    ends = []
    for parts in (1, 2):
        fit = accumulate(lambda p, b: network_loss(p, b, None), parts)
        loss = lambda p, b, key, fit=fit: fit(p, b)  # noqa: E731
        algorithm = spec.build(text, "fl_jax.algorithms", loss, optax.sgd(0.1))
        state = begin(algorithm, network_params())
        run = jax.jit(layouts.whole_round(algorithm, weighted_mean()))
        state, _ = run(*run(state, batches, jnp.ones(3, bool))[:1], batches, jnp.ones(3, bool))
        ends.append(state.server.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *ends)


class WithStatistics(nn.Module):
    @nn.compact
    def __call__(self, images, mask=None):
        return nn.Dense(1)(Norm("batch")(images, mask).mean((1, 2)))


def test_what_does_not_go_together():
    with pytest.raises(ValueError, match="accumulate=0: must be at least 1"):
        accumulate(lambda p, b: p, 0)
    with pytest.raises(ValueError, match="accumulate=3: does not divide the 8 examples"):
        accumulate(lambda p, b: p, 3)(jnp.ones(()), batch())
    with pytest.raises(ValueError, match="accumulate=2 with running statistics"):
        multi_label(WithStatistics(), jnp.zeros((1, 4, 4, 2)), running=True, micro_batches=2)
