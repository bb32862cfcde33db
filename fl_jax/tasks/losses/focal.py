"""Focal loss: labels that the model already knows count for less.

loss_b as in cross_entropy with  f(1, p) = -(1 - p)^gamma log p,  f(0, p) = -p^gamma log(1 - p)

Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; its alpha is the weights of positives here.
"""

from collections.abc import Sequence
from functools import partial

import optax

from fl_jax.tasks.losses.cross_entropy import Losses, over_labels


def focal(
    *,
    gamma: float = 2.0,
    label_weights: Sequence[float] | None = None,
    smoothing: float = 0.0,
) -> Losses:
    """Makes the focal loss.

    Args:
        gamma: >= 0; 0 is the cross-entropy.
        label_weights: see `cross_entropy`.
        smoothing: see `cross_entropy`.

    Raises:
        ValueError: for an argument out of range.
    """
    if not 0 <= gamma < float("inf"):
        raise ValueError(f"gamma={gamma}: must be at least 0, and finite; 0 is cross_entropy()")
    each = partial(optax.sigmoid_focal_loss, gamma=gamma)
    return over_labels(each, label_weights, smoothing)
