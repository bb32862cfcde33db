"""Test-time augmentation: averages the logits of an image and of its mirror image."""

import jax

from fl_jax.core.types import Array, Params
from fl_jax.tasks.task import Task


def flip_average(task: Task) -> Task:
    """Predicts with the mean logits of an image and of its mirror image, left to right.

    Args:
        task: on images [B, ..., H, W].
    """

    def logits(params: Params, inputs: Array) -> jax.Array:
        return (task.logits(params, inputs) + task.logits(params, inputs[..., ::-1])) / 2

    return task._replace(logits=logits)
