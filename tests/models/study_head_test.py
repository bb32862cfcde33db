"""A head reads the real slices of a study, all of them and nothing else, by where they lie."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.core.types import Batch, Study
from fl_jax.models.study_head import KINDS, places, study_head
from fl_jax.tasks.multi_label_studies import multi_label_studies

KEY = jax.random.key(0)
LENGTHS = (5, 3)


def studies(slots=6, padding=0.0):
    """Two studies of five and three slices with other gaps; every number of the padding is `padding`."""
    rng = np.random.default_rng(0)
    slices = np.full((2, slots, 3), padding, np.float32)
    position = np.full((2, slots), padding, np.float32)
    mask = np.zeros((2, slots), bool)
    for row, n in enumerate(LENGTHS):
        slices[row, :n] = rng.normal(size=(n, 3))
        position[row, :n] = np.cumsum(rng.uniform(1, 12, n)) - 40
        mask[row, :n] = True
    return Study(slices, position, mask)


def reversed_along_z(study):
    fields = [np.array(field) for field in study]
    for row, n in enumerate(LENGTHS):
        fields[0][row, :n] = study.slices[row, :n][::-1]
        fields[1][row, :n] = -study.position[row, :n][::-1]
    return Study(*fields)


def real(outputs):
    """The logits of the studies and of their real slices."""
    return [np.asarray(outputs)[row, : 1 + n] for row, n in enumerate(LENGTHS)]


@pytest.fixture(scope="module", params=KINDS)
def head(request):
    model = study_head(request.param, 8, heads=2, dropout=0.0)
    variables = jax.jit(model.init)(KEY, studies())
    apply = jax.jit(model.apply)
    return lambda study: apply(variables, study)


def test_a_logit_for_the_study_and_for_each_slice(head):
    outputs = head(studies())
    assert outputs.shape == (2, 7, 6)
    assert outputs.dtype == jnp.float32


@pytest.mark.parametrize(("slots", "padding"), [(6, 1e3), (6, np.nan), (9, 0.0)])
def test_padding_changes_nothing(head, slots, padding):
    other = head(studies(slots, padding))
    for a, b in zip(real(head(studies())), real(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_study_is_read_alone(head):
    study = studies()
    other = Study(*(np.stack([2 * field[0], field[1]]) for field in study[:2]), study.mask)
    np.testing.assert_array_equal(head(other)[1, :4], head(study)[1, :4])


def test_every_slice_hears_of_every_other_and_of_the_spacing(head):
    study = studies()

    def moved(change):
        return np.abs(real(head(change))[0] - real(head(study))[0]).max(-1)

    for slice in range(LENGTHS[0]):
        slices = study.slices.copy()
        slices[0, slice] += np.array([1.0, -1.0, 0.5])
        assert (moved(study._replace(slices=slices)) > 1e-6).all()
    stretched = study._replace(position=study.position * 1.5)
    assert (moved(stretched) > 1e-5).all()
    shifted = moved(study._replace(position=study.position + np.float32(64)))
    np.testing.assert_allclose(
        shifted, 0, atol=1e-5
    )  # only where in the study, not where in the room


def test_places_by_hand():
    features = places(
        Study(np.zeros((1, 4, 1)), np.array([[-3.0, 2.0, 12.0, 99.0]]), np.arange(4)[None] < 3)
    )
    expected = [[0, 0.5, 0, 0.15], [0.5, 1, 0.05, 0.1], [1, 0, 0.15, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(features[0], expected, atol=1e-6)


def test_a_gru_reads_both_ways_alike():
    """Upside down, and with the parts of the two directions exchanged, it says the same upside down."""
    hidden = 4
    model = study_head("gru", hidden, dropout=0.0)
    variables = jax.jit(model.init)(KEY, studies())
    apply = jax.jit(model.apply)
    params = jax.tree.map(np.array, variables["params"])

    def exchanged(matrix, at, size):
        """Rows at .. at + 2 size, the halves exchanged."""
        order = np.arange(len(matrix))
        order[at : at + 2 * size] = np.roll(order[at : at + 2 * size], size)
        return matrix[order]

    embed = params["embed"]["kernel"]
    embed[3:5], embed[5:7] = embed[[4, 3]], embed[[6, 5]]  # below and above; from either end
    half = hidden // 2
    params["slices"]["kernel"] = exchanged(params["slices"]["kernel"], hidden, half)
    for at in (0, hidden):
        params["study"]["kernel"] = exchanged(params["study"]["kernel"], at, half)
    cell, other = sorted(name for name in params if name.startswith("GRUCell"))
    params[cell], params[other] = params[other], params[cell]
    straight = real(apply(variables, studies()))
    mirrored = real(apply({"params": params}, reversed_along_z(studies())))
    for a, b in zip(straight, mirrored, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a[1:], b[1:][::-1], rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_of_studies_whatever_their_padding():
    class Fixed:
        """Says 0 of every slice and ln 3 of every study."""

        def apply(self, variables, study, **_):
            outputs = jnp.zeros((*study.mask.shape, 6)) + variables["params"]
            whole = jnp.full((len(study.mask), 1, 6), jnp.log(3.0))
            return jnp.concatenate([whole, outputs], 1)

    labels = np.full((2, 7, 6), -1.0, np.float32)
    labels[0, : 1 + LENGTHS[0]], labels[1, : 1 + LENGTHS[1]] = 0, 1
    task = multi_label_studies(
        Fixed(), studies(), positive_weights=np.full(6, 3.0), study_weight=0.5
    )  # pyright: ignore
    result = task.loss(jnp.zeros(()), Batch(studies(), labels, np.ones(2)), KEY)
    first = np.log(2) + 0.5 * np.log(4)  # negative: its probability is 3/4
    second = 3 * np.log(2) + 0.5 * np.log(4 / 3)  # its slices are positive, and weighted
    np.testing.assert_allclose(result, (first + second) / 2, rtol=1e-6)
    alone = task.loss(jnp.zeros(()), Batch(studies(), labels, np.array([0.0, 1.0])), KEY)
    np.testing.assert_allclose(alone, second, rtol=1e-6)
    none = Batch(jax.tree.map(np.zeros_like, studies()), np.zeros_like(labels), np.zeros(2))
    np.testing.assert_array_equal(task.loss(jnp.zeros(()), none, KEY), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_for_training_and_gradients_are_finite(kind):
    task = multi_label_studies(study_head(kind, 8, heads=2, dropout=0.5), studies())
    params = jax.jit(task.init)(KEY)
    loss = jax.jit(jax.value_and_grad(task.loss))
    batch = Batch(studies(padding=np.nan), np.zeros((2, 7, 6), np.float32), np.ones(2))
    one, same, other = (loss(params, batch, jax.random.key(seed))[0] for seed in (1, 1, 2))
    assert one == same != other
    assert np.isfinite(optax.tree.norm(loss(params, batch, KEY)[1]))
    none = batch._replace(inputs=jax.tree.map(np.zeros_like, studies()), mask=np.zeros(2))
    np.testing.assert_array_equal(optax.tree.norm(loss(params, none, KEY)[1]), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "lstm"}, "kind='lstm': must be one of gru, transformer"),
        ({"hidden": 5}, "hidden=5, heads=4: hidden must be a multiple"),
        ({"hidden": 6, "heads": 4}, "hidden=6, heads=4"),
        ({"heads": 0}, "heads=0"),
        ({"layers": 0}, "layers=0"),
        ({"layers": 1001}, "layers=1001, .*needs 1 to 1000 layers"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"labels": 0}, "labels=0"),
    ],
)
def test_values_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        study_head(**arguments)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_of_the_study_out_of_range(weight):
    with pytest.raises(ValueError, match="study_weight="):
        multi_label_studies(study_head(), studies(), study_weight=weight)
