"""Multi-class classification: one of L classes per example.

loss = sum_b mask_b sum_l [ -y_bl log softmax_l ] / sum_b mask_b
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Array
from fl_jax.tasks.flax_task import Augment, Prepare, as_float, flax_task, no_augmentation
from fl_jax.tasks.task import Task


def multi_class(
    model: nn.Module,
    example: Array,
    *,
    prepare: Prepare = as_float,
    augment: Augment = no_augmentation,
    frozen: Mapping[str, Any] | None = None,
    running: bool = False,
) -> Task:
    """Makes a multi-class task from a Flax model.

    Args:
        model: float32[B, ...] -> logits float32[B, L] of a softmax.
        example: see `multi_label`, as for all that follow.
        prepare: converts inputs to what the model reads.
        augment: in training only.
        frozen: non-parameter variables that stay fixed.
        running: whether BatchNorm keeps running statistics.

    Returns:
        The task; labels are float32[B, L], one-hot, or class numbers int[B].

    >>> import jax, numpy as np, flax.linen as nn
    >>> from fl_jax.core.types import Batch
    >>> task = multi_class(nn.Dense(10, kernel_init=nn.initializers.zeros), example=np.zeros((1, 3)))
    >>> batch = Batch(np.ones((2, 3)), np.array([4, 7]), np.ones(2))
    >>> round(float(task.loss(task.init(jax.random.key(0)), batch, jax.random.key(1))), 4)  # log 10
    2.3026
    """
    return flax_task(
        model,
        example,
        _cross_entropy,
        prepare=prepare,
        augment=augment,
        frozen=frozen,
        running=running,
    )


def _cross_entropy(logits: jax.Array, labels: Array) -> jax.Array:
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.ndim == 1:
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(labels))
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels {labels.shape}, logits {logits.shape}: must be class numbers int[B], or one-hot [B, L]"
        )
    return optax.softmax_cross_entropy(logits, labels)
