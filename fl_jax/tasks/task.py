"""A task: what the sites learn, the same for every arm."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fl_jax.core.types import Batch, Params, RunningLoss


class Task(NamedTuple):
    """A supervised task as three pure functions.

    Attributes:
        init: `(key) -> params`.
        loss: `(params, batch, key) -> float32[]`, the mean over the batch's real examples; the key is for
            augmentation and dropout. A `RunningLoss` if the model keeps BatchNorm running statistics.
        logits: `(params, inputs) -> float32[B, L]`, without augmentation; for studies [B, 1 + S, L].
    """

    init: Callable[[jax.Array], Params]
    loss: Callable[[Params, Batch, jax.Array], jax.Array]
    logits: Callable[[Params, Any], jax.Array]

    @property
    def running(self) -> bool:
        """Whether the model keeps BatchNorm running statistics.

        If so, `init` and `logits` use variables `{'params': ..., 'batch_stats': ...}`, `loss` uses the
        parameters alone, and the algorithm must be wrapped in `federated_batch_stats`.
        """
        return isinstance(self.loss, RunningLoss)
