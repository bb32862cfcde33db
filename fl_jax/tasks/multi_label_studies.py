"""Multi-label classification of every slice of a study, and of the study.

loss = sum_b mask_b ( mean_s of multi_label's loss + v times that of the study ) / sum_b mask_b
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.types import Array, Batch, Params, Study
from fl_jax.tasks.task import Task


def multi_label_studies(
    model: nn.Module,
    example: Study,
    *,
    positive_weights: Array | None = None,
    study_weight: float = 0.5,
) -> Task:
    """Makes the task. All studies of a batch have equal weight, whatever their number of slices.

    Args:
        model: `Study` -> logits float32[B, 1 + S, L], the study's first; called with `train=True` and a
            `dropout` key in training.
        example: inputs of one batch; only shapes and dtypes matter, and S may differ later.
        positive_weights: w, float32[L] > 0, for slices; None for ones.
        study_weight: v >= 0, the weight of the study's loss relative to the mean over its slices.

    Returns:
        The task; labels are float32[B, 1 + S, L] in {0, 1}, and -1 in padding.
    """
    if not 0 <= study_weight < np.inf:
        raise ValueError(f"study_weight={study_weight}: must be at least 0, and finite")
    weights = jnp.ones(()) if positive_weights is None else jnp.asarray(positive_weights)

    def init(key: jax.Array) -> Params:
        return dict(model.init(key, jax.tree.map(jnp.ones_like, example)))["params"]

    def logits(params: Params, inputs: Study) -> jax.Array:
        output = model.apply({"params": params}, inputs)
        assert isinstance(output, jax.Array)
        return output

    def loss(params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        study: Study = batch.inputs  # pyright: ignore[reportAssignmentType]
        outputs = model.apply({"params": params}, study, train=True, rngs={"dropout": key})
        each = optax.sigmoid_binary_cross_entropy(outputs, batch.labels)
        of_study = each[:, 0].mean(-1)
        of_slices = jnp.where(batch.labels > 0, weights * each, each)[:, 1:].mean(-1)
        real = jnp.asarray(study.mask)
        means = jnp.where(real, of_slices, 0).sum(1) / jnp.maximum(real.sum(1), 1)
        losses = means + study_weight * of_study
        return (losses * batch.mask).sum() / jnp.maximum(batch.mask.sum(), 1)

    return Task(init, loss, logits)
