"""Sigmoid cross-entropy with positive weights, label weights and label smoothing.

y_bl  <- (1 - s) y_bl + s / 2
loss_b = sum_l v_l [ w_l y_bl f(1, p_bl) + (1 - y_bl) f(0, p_bl) ] / sum_l v_l
         f(1, p) = -log p,  f(0, p) = -log(1 - p)

The RSNA 2019 challenge's score has w = 1 and v = (2, 1, 1, 1, 1, 1): `any` counts twice. Smoothing, with
two classes per label: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.types import Array

LabelLoss = Callable[[jax.Array, Array, Array], jax.Array]
"""`(logits float32[B, L], labels float32[B, L] in [0, 1], positive weights) -> float32[B]`; the weights are
float32[L] > 0, or float32[] for all labels."""


def cross_entropy(
    *, label_weights: Sequence[float] | None = None, smoothing: float = 0.0
) -> LabelLoss:
    """Makes the cross-entropy.

    Args:
        label_weights: v, one number >= 0 per label, not all 0; None for ones.
        smoothing: s in [0, 1).

    Returns:
        The loss; it raises ValueError when labels and logits differ in shape, or L is not the number of
        `label_weights`.

    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.zeros((1, 3)), jnp.array([[1.0, 0.0, 0.0]])
    >>> cross_entropy()(logits, labels, jnp.float32(1.0)).round(3)  # log 2
    Array([0.693], dtype=float32)
    >>> cross_entropy(label_weights=(2, 1, 1))(logits, labels, jnp.float32(3.0)).round(3)  # 2 log 2
    Array([1.386], dtype=float32)
    """
    return weighted_label_loss(optax.sigmoid_binary_cross_entropy, label_weights, smoothing)


def weighted_label_loss(
    binary_loss: Callable[[jax.Array, jax.Array], jax.Array],
    label_weights: Sequence[float] | None,
    smoothing: float,
) -> LabelLoss:
    """Makes a loss from f, `(logits, labels in {0, 1}) -> float32[B, L]`; see `cross_entropy`."""
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing={smoothing}: must be at least 0 and below 1")
    v = None if label_weights is None else np.asarray(label_weights, np.float32)
    if v is not None and not (v.ndim == 1 and (v >= 0).all() and 0 < v.sum() < np.inf):
        raise ValueError(
            f"label_weights={label_weights}: must be one number of at least 0 per label, not all 0"
        )
    return partial(_loss, binary_loss, v, smoothing)


def _loss(
    binary_loss: Callable[[jax.Array, jax.Array], jax.Array],
    v: np.ndarray | None,
    smoothing: float,
    logits: jax.Array,
    labels: Array,
    weights: Array,
) -> jax.Array:
    if logits.shape != jnp.shape(labels):
        raise ValueError(
            f"labels {jnp.shape(labels)}, logits {logits.shape}: must have the same shape [B, L]; one label "
            "per example is [B, 1], and one of several classes is multi_class"
        )
    if v is not None and v.size != logits.shape[-1]:
        raise ValueError(
            f"label_weights={v.tolist()}: must be {logits.shape[-1]} numbers, one per label"
        )
    smooth = jnp.asarray(labels)
    if smoothing:
        smooth = (1 - smoothing) * smooth + smoothing / 2
    positive = binary_loss(logits, jnp.ones_like(smooth))
    negative = binary_loss(logits, jnp.zeros_like(smooth))
    by_label = weights * smooth * positive + (1 - smooth) * negative
    return by_label.mean(-1) if v is None else (by_label * v).sum(-1) / v.sum()
