"""Focal loss: down-weights labels that the model already predicts well.

loss_b as in cross_entropy with  f(1, p) = -(1 - p)^gamma log p,  f(0, p) = -p^gamma log(1 - p)

Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; their alpha is our positive weights.
"""

from collections.abc import Sequence
from functools import partial

import optax

from fl_jax.tasks.losses.cross_entropy import LabelLoss, weighted_label_loss


def focal(
    *, gamma: float = 2.0, label_weights: Sequence[float] | None = None, smoothing: float = 0.0
) -> LabelLoss:
    """Makes the focal loss.

    Args:
        gamma: >= 0; 0 is the cross-entropy.
        label_weights: see `cross_entropy`.
        smoothing: see `cross_entropy`.
    """
    if not 0 <= gamma < float("inf"):
        raise ValueError(f"gamma={gamma}: must be at least 0, and finite; 0 is cross_entropy()")
    binary_loss = partial(optax.sigmoid_focal_loss, gamma=gamma)
    return weighted_label_loss(binary_loss, label_weights, smoothing)
