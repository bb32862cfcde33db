"""Losses by hand arithmetic, and what each argument changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.core import spec

LOGITS = jnp.array([[0.5, -2.0, 3.0], [-1.0, 0.0, 4.0]])
LABELS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
POSITIVES = np.array([3.0, 1.0, 2.0])


def found(text, weights=1.0):
    return spec.build(text, "fl_jax.tasks.losses")(LOGITS, LABELS, jnp.asarray(weights))


def by_hand(labels, weights, f):
    p = 1 / (1 + np.exp(-np.asarray(LOGITS, np.float64)))
    return weights * labels * f(p) + (1 - labels) * f(1 - p)


def cross(p):
    return -np.log(p)


def test_cross_entropy_is_optax_s_with_weights_of_positives():
    each = optax.sigmoid_binary_cross_entropy(LOGITS, LABELS)
    weighted = jnp.where(LABELS > 0, POSITIVES * each, each).mean(-1)
    np.testing.assert_allclose(found("cross_entropy()", POSITIVES), weighted, rtol=1e-6)


def test_weights_of_labels_are_a_mean_as_the_challenge_s():
    each = by_hand(LABELS, POSITIVES, cross)
    wanted = (2 * each[:, 0] + each[:, 1] + each[:, 2]) / 4
    weighted = found("cross_entropy(label_weights=(2, 1, 1))", POSITIVES)
    np.testing.assert_allclose(weighted, wanted, rtol=1e-6)
    first = found("focal(gamma=0.0, label_weights=(1, 0, 0))")
    np.testing.assert_allclose(first, by_hand(LABELS, 1, cross)[:, 0], rtol=1e-5)


def test_smoothed_labels():
    smooth = 0.9 * LABELS + 0.05
    wanted = by_hand(smooth, POSITIVES, cross).mean(-1)
    np.testing.assert_allclose(found("cross_entropy(smoothing=0.1)", POSITIVES), wanted, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_by_hand(gamma):
    wanted = by_hand(LABELS, POSITIVES, lambda p: (1 - p) ** gamma * cross(p)).mean(-1)
    np.testing.assert_allclose(found(f"focal(gamma={gamma})", POSITIVES), wanted, rtol=1e-5)


def test_a_mixed_label_is_a_mixed_loss():
    for text in ("cross_entropy()", "focal()"):
        losses = spec.build(text, "fl_jax.tasks.losses")
        pure = [losses(LOGITS, np.full((2, 3), y), POSITIVES) for y in (1.0, 0.0)]
        mixed = losses(LOGITS, np.full((2, 3), 0.3), POSITIVES)
        np.testing.assert_allclose(mixed, 0.3 * pure[0] + 0.7 * pure[1], rtol=1e-6)


@pytest.mark.parametrize("text", ["cross_entropy()", "focal()", "focal(gamma=0.5)"])
def test_gradients_are_finite_where_the_model_is_sure(text):
    losses = spec.build(text, "fl_jax.tasks.losses")
    sure = jnp.array([[200.0, -200.0], [-200.0, 200.0]])
    gradient = jax.grad(lambda x: losses(x, np.array([[1.0, 0], [1, 0]]), 1.0).sum())(sure)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[1]).min() > 0.1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cross_entropy(smoothing=1.0)", "smoothing=1.0: must be"),
        ("cross_entropy(label_weights=(0, 0))", "label_weights="),
        ("cross_entropy(label_weights=(1, -1))", "label_weights="),
        ("focal(gamma=-1.0)", "gamma=-1.0: must be"),
        ("hinge()", "there are: cross_entropy, focal"),
    ],
)
def test_what_is_out_of_range(text, said):
    with pytest.raises(ValueError, match=said):
        spec.build(text, "fl_jax.tasks.losses")


def test_a_weight_for_each_label_and_no_more():
    with pytest.raises(ValueError, match=r"label_weights=\[2.0, 1.0\]: must be 3 numbers"):
        found("cross_entropy(label_weights=(2, 1))")
