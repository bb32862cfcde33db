"""A head and its backbone trained together: where they begin, what padding and parts change, what is sent."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.types import Batch, Study
from fl_jax.tasks.fine_tune import layer_rates, train_only
from fl_jax.tasks.head_and_backbone import head_and_backbone, in_parts
from fl_jax.tasks.multi_label_studies import multi_label_studies

KEY = jax.random.key(0)
LENGTHS = (5, 3)
BACKBONE = {
    "first": {"kernel": 0.1 * jax.random.normal(KEY, (64, 4))},
    "last": {"kernel": jnp.eye(4)},
}


def features(params, hu):
    first = jnp.tanh(hu.reshape(len(hu), -1) / 100.0 @ params["first"]["kernel"])
    return jnp.tanh(first @ params["last"]["kernel"])


class Sums(nn.Module):
    """A head that adds up a study's real slices; the real ones take seconds to compile."""

    @nn.compact
    def __call__(self, study, *, train=False):
        found = jnp.where(study.mask[..., None], study.slices, 0)
        if train:
            found *= jax.random.bernoulli(self.make_rng("dropout"), 0.9, found.shape)
        both = jnp.concatenate([found.sum(1, keepdims=True), found], 1)
        return nn.Dense(6)(jnp.tanh(nn.Dense(4)(both)))


def batch(padding=0):
    """Two studies of five and three slices; all of the padding is `padding`."""
    rng = np.random.default_rng(0)
    hu = np.full((2, 5, 8, 8), padding, np.int16)
    position, mask = np.zeros((2, 5), np.float32), np.zeros((2, 5), bool)
    labels = np.full((2, 6, 6), -1, np.float32)
    for row, n in enumerate(LENGTHS):
        hu[row, :n] = rng.integers(0, 100, (n, 8, 8))
        position[row, :n], mask[row, :n] = 5.0 * np.arange(n), True
        labels[row, : 1 + n] = rng.integers(0, 2, (1 + n, 6))
    return Batch(Study(hu, position, mask), labels, np.ones(2, np.float32))


def frozen(study, backbone):
    """The study's features, as they are computed for a head alone."""
    found = features(backbone, study.slices.reshape(-1, 8, 8))
    return study._replace(slices=found.reshape(2, 5, 4))


def close(a, b, tolerance=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=tolerance), a, b)


def moved(a, b):
    return [float(jnp.abs(x - y).max()) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]


@pytest.fixture(scope="module")
def head():
    example = Study(jnp.zeros((1, 2, 4)), jnp.zeros((1, 2)), jnp.ones((1, 2), bool))
    return multi_label_studies(Sums(), example)


@pytest.fixture(scope="module")
def task(head):
    return head_and_backbone(head, features, BACKBONE, slices_at_once=3)


@pytest.fixture(scope="module")
def params(task):
    return jax.jit(task.init)(KEY)


@pytest.fixture(scope="module")
def gradient(task, params):
    """`(batch) -> (loss, gradient)`, in four parts."""
    found = jax.jit(jax.value_and_grad(task.loss))
    return lambda data: found(params, data, KEY)


def test_it_begins_as_the_head_on_frozen_features_and_parts_have_the_gradient_of_the_whole(
    head, task, params, gradient
):
    data = batch()

    def at_once(params):
        study = frozen(data.inputs, params["backbone"])
        return head.loss(params["head"], data._replace(inputs=study), KEY)

    close(gradient(data), jax.jit(jax.value_and_grad(at_once))(params))
    close(params["head"], jax.jit(head.init)(KEY), 0)
    logits = task.logits(params, data.inputs)
    assert logits.shape == (2, 6, 6)
    others = head.logits(params["head"], frozen(data.inputs, BACKBONE))
    real = np.pad(data.inputs.mask, ((0, 0), (1, 0)), constant_values=True)
    close(logits[real], others[real])


def test_padding_changes_neither_loss_nor_gradient(gradient):
    jax.tree.map(np.testing.assert_array_equal, gradient(batch(3000)), gradient(batch()))


def test_every_real_slice_reaches_the_backbone(gradient):
    _, slopes = gradient(batch())
    assert min(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slopes["backbone"])) > 0
    for row, n in enumerate(LENGTHS):
        for slice in range(n):
            data = batch()
            data.inputs.slices[row, slice] += 50
            assert max(moved(gradient(data)[1]["backbone"], slopes["backbone"])) > 1e-6


def test_wrong_arguments(head):
    with pytest.raises(ValueError, match="slices_at_once=0: must be at least 1"):
        in_parts(features, 0)
    other = {"slices": jnp.zeros(3)}
    task = head_and_backbone(head, features, BACKBONE, head_params=other)
    with pytest.raises(ValueError, match="of another head"):
        jax.eval_shape(task.init, KEY)


@pytest.mark.slow
def test_layouts_agree_send_what_is_trained_and_move_the_backbone_at_its_own_rate(head):
    whole = head_and_backbone(head, features, BACKBONE, slices_at_once=3)
    task = train_only(whole, "^head/|^backbone/last/", {"backbone": BACKBONE})
    optimizer = layer_rates(optax.sgd(0.1), (("^backbone/", 0.01),))
    algorithm = fed_avg(task.loss, optimizer)
    params, found = jax.jit(task.init)(KEY), []
    assert set(params["backbone"]) == {"last"}
    sent = sum(leaf.nbytes for leaf in jax.tree.leaves(params)) + 4  # its weight
    for make in (layouts.sequential, layouts.vmapped):
        state = layouts.init(algorithm, weighted_mean(), params, 2, KEY)
        batches = lambda site: iter([batch()] * (1 + site))  # noqa: E731
        state, metrics = make(algorithm, weighted_mean())(state, batches, np.ones(2, bool))
        assert metrics["bytes"].tolist() == [sent, sent]
        found.append(state.server.params)
    close(found[0], found[1], 1e-5)
    assert 0 < max(moved(found[0]["backbone"], params["backbone"])) < 1e-3
    assert max(moved(found[0]["head"], params["head"])) > 1e-2
