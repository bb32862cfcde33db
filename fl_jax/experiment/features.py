"""Computes a frozen backbone's features once per slice, on which its head is then trained.

    f_n = backbone(image_n), once;    logits_n = head(f_n)

The head's parameters have the same names and values as in the whole model, so a head trained on features
predicts from images within that model.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.types import Array, Params
from fl_jax.data import pipeline
from fl_jax.data.slices import Slices
from fl_jax.tasks.losses.cross_entropy import LabelLoss
from fl_jax.tasks.mixup import Mix
from fl_jax.tasks.multi_label import multi_label
from fl_jax.tasks.task import Task


class Head(nn.Module):
    """A model's last layer alone, under its name in the model."""

    layer: str
    labels: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Maps features float32[B, F] to logits float32[B, L]."""
        return nn.Dense(self.labels, name=self.layer)(features)


def extract(
    model: nn.Module,
    variables: Any,
    prepare: Callable[[Array], jax.Array],
    slices: Slices,
    *,
    batch_size: int = 32,
) -> np.ndarray:
    """Computes the features of every slice of a dataset.

    Args:
        model: its `__call__` takes `features=True`, as that of `deep_resnet` does.
        variables: its parameters and running statistics; the last layer's may be absent.
        prepare: HU to the model's inputs.
        slices: the dataset, N slices.
        batch_size: B of a forward pass.

    Returns:
        float32[N, F], in the order of the dataset.
    """

    @jax.jit
    def run(variables: Any, inputs: Array) -> Any:
        return model.apply(variables, prepare(inputs), features=True)

    batches = [
        np.asarray(run(variables, batch.inputs))[batch.mask > 0]
        for batch in pipeline.eval_batches(slices, np.arange(len(slices)), batch_size=batch_size)
    ]
    return np.concatenate(batches)


def in_place_of_pixels(slices: Slices, features: np.ndarray) -> Slices:
    """The dataset with features as its inputs.

    Args:
        slices: the dataset, N slices.
        features: float32[N, F].

    Returns:
        The dataset with batches of float32[B, F].

    Raises:
        ValueError: there is not one finite row per slice.
    """
    if features.ndim != 2 or len(features) != len(slices) or not np.isfinite(features).all():
        raise ValueError(
            f"features of shape {features.shape} for {len(slices)} slices: must be one finite row for each"
        )
    shape: Any = features.shape[1:]
    return dataclasses.replace(
        slices, pixels=features, image_shape=shape, adjacent=None, source=None, offset=None
    )


def head_task(
    whole: Task,
    layer: str,
    features: int,
    *,
    positive_weights: Array | None = None,
    label_loss: LabelLoss | None = None,
    mix: Mix | None = None,
) -> Task:
    """Makes the task of training a model's last layer on features.

    Args:
        whole: the task on images that trains the last layer alone, see `fine_tune.train_only`.
        layer: the last layer's name, `model.head`.
        features: F.
        positive_weights: as `whole` has them.
        label_loss: as `whole` has them.
        mix: mixes features as `whole` mixes images.

    Returns:
        A task with the parameters of `whole` and the same initial values.

    Raises:
        ValueError: `whole` trains other parameters.
    """
    shapes: Params = jax.eval_shape(whole.init, jax.random.key(0))
    kernel = shapes.get(layer, {}).get("kernel")
    if set(shapes) != {layer} or kernel is None or kernel.shape[0] != features:
        raise ValueError(
            f"layer={layer!r}, features={features}: the task trains {jax.tree.map(jnp.shape, shapes)}, and "
            f"must train that layer alone; give train_only the pattern '^{layer}/'"
        )
    head = Head(layer, kernel.shape[1])
    task = multi_label(
        head,
        jnp.zeros((1, features)),
        positive_weights=positive_weights,
        label_loss=label_loss,
        mix=mix,
    )
    return task._replace(init=whole.init)
