"""Multi-label classification: L independent binary labels per example.

loss = sum_b mask_b mean_l [ -w_l y_bl log p_bl - (1 - y_bl) log(1 - p_bl) ] / sum_b mask_b,   p = sigmoid
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from fl_jax.core.types import Array
from fl_jax.tasks.flax_task import Augment, Prepare, as_float, flax_task, no_augmentation
from fl_jax.tasks.losses.cross_entropy import LabelLoss, cross_entropy
from fl_jax.tasks.mixup import Mix
from fl_jax.tasks.task import Task


def multi_label(
    model: nn.Module,
    example: Array,
    *,
    prepare: Prepare = as_float,
    augment: Augment = no_augmentation,
    positive_weights: Array | None = None,
    frozen: Mapping[str, Any] | None = None,
    running: bool = False,
    label_loss: LabelLoss | None = None,
    mix: Mix | None = None,
    micro_batches: int = 1,
) -> Task:
    """Makes a multi-label task from a Flax model.

    Args:
        model: float32[B, ...] -> logits float32[B, L].
        example: inputs [B, ...]; only shape and dtype matter.
        prepare: converts inputs to what the model reads, inside the jitted step, e.g. HU to windows.
        augment: `(key, inputs) -> inputs`, before `prepare`, in training only.
        positive_weights: w, float32[L] > 0; None for ones. See `positive_weights`.
        frozen: non-parameter variables by collection, such as the `batch_stats` of pretrained weights. They
            stay fixed, in training too.
        running: BatchNorm uses the batch's moments in training and keeps running statistics for prediction;
            for models whose `__call__` takes the batch's `mask`.
        label_loss: from `fl_jax.tasks.losses`; None for the cross-entropy.
        mix: mixes the examples of a batch, after `prepare`, in training only; see `mixup`.
        micro_batches: the number of parts that a batch's gradient is accumulated over.

    Returns:
        The task; labels are float32[B, L] in [0, 1]. `init` raises ValueError when the model's variables are
        not those that `frozen` and `running` announce.

    Raises:
        ValueError: for `micro_batches` with `running`: BatchNorm would see the moments of the parts.

    >>> import jax, numpy as np, flax.linen as nn
    >>> task = multi_label(nn.Dense(6), example=np.zeros((1, 3)))
    >>> params = task.init(jax.random.key(0))
    >>> task.logits(params, np.ones((2, 3))).shape
    (2, 6)
    """
    if running and micro_batches > 1:
        raise ValueError(
            f"accumulate={micro_batches} with running statistics: BatchNorm would see the moments of the "
            "parts, not of the batch; freeze the statistics, or use a model without"
        )
    weights = jnp.ones(()) if positive_weights is None else jnp.asarray(positive_weights)
    by_example = label_loss or cross_entropy()
    return flax_task(
        model,
        example,
        lambda logits, labels: by_example(logits, labels, weights),
        prepare=prepare,
        augment=augment,
        frozen=frozen,
        running=running,
        mix=mix,
        micro_batches=micro_batches,
    )
