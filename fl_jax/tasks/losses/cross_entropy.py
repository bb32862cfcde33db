"""Sigmoid cross-entropy with weights of positives and of labels, and smoothed labels.

y_bl  <- (1 - s) y_bl + s / 2
loss_b = sum_l v_l [ w_l y_bl f(1, p_bl) + (1 - y_bl) f(0, p_bl) ] / sum_l v_l
         f(1, p) = -log p,  f(0, p) = -log(1 - p)

The RSNA 2019 challenge is scored with w = 1 and v = (2, 1, 1, 1, 1, 1), `any` twice. Smoothing: Szegedy et
al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, for two classes a label.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.types import Array

Losses = Callable[[jax.Array, Array, Array], jax.Array]
"""`(logits float32[B, L], labels float32[B, L] in [0, 1], weights) -> float32[B]`; the weights of positives
are float32[L] > 0, or float32[] for all labels alike."""


def cross_entropy(
    *, label_weights: Sequence[float] | None = None, smoothing: float = 0.0
) -> Losses:
    """Makes the cross-entropy.

    Args:
        label_weights: v, a number >= 0 a label, one of them above 0; None for ones.
        smoothing: s in [0, 1).

    Returns:
        The loss; it raises ValueError for other than as many labels as there are `label_weights`.

    Raises:
        ValueError: for an argument out of range.
    """
    return over_labels(optax.sigmoid_binary_cross_entropy, label_weights, smoothing)


def over_labels(
    each: Callable[[jax.Array, jax.Array], jax.Array],
    label_weights: Sequence[float] | None,
    smoothing: float,
) -> Losses:
    """Makes a loss of an example from f, `(logits, labels in {0, 1}) -> float32[B, L]`; as above."""
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing={smoothing}: must be at least 0 and below 1")
    v = None if label_weights is None else np.asarray(label_weights, np.float32)
    if v is not None and not (v.ndim == 1 and (v >= 0).all() and 0 < v.sum() < np.inf):
        raise ValueError(
            f"label_weights={label_weights}: must be numbers of at least 0, one a label, not all 0"
        )
    return partial(_losses, each, v, smoothing)


def _losses(
    each: Callable[[jax.Array, jax.Array], jax.Array],
    v: np.ndarray | None,
    smoothing: float,
    logits: jax.Array,
    labels: Array,
    weights: Array,
) -> jax.Array:
    if v is not None and v.size != logits.shape[-1]:
        raise ValueError(f"label_weights={v.tolist()}: there are {logits.shape[-1]} labels")
    smooth = jnp.asarray(labels)
    if smoothing:
        smooth = (1 - smoothing) * smooth + smoothing / 2
    positive, negative = each(logits, jnp.ones_like(smooth)), each(logits, jnp.zeros_like(smooth))
    found = weights * smooth * positive + (1 - smooth) * negative
    return found.mean(-1) if v is None else (found * v).sum(-1) / v.sum()
