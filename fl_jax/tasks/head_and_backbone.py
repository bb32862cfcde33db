"""End-to-end training of a study head and the backbone that reads its slices.

logits  = head(f),   f_bs = backbone(image_bs)
dl / dw = sum over parts p of  (df_p / dw)^T dl/df_p,      w the backbone's parameters, f_p recomputed

Only the features are kept from the forward pass; the backward pass recomputes the backbone part by part. The
device thus holds the activations of a few slices, whatever the length of the studies. The two-pass scheme is
that of Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.keys import stream
from fl_jax.core.types import AIR, Array, Batch, Params, Study
from fl_jax.tasks.flax_task import Augment, no_augmentation
from fl_jax.tasks.micro_batches import accumulate
from fl_jax.tasks.task import Task

Features = Callable[[Params, Array], jax.Array]
"""`(params, images [N, ...]) -> float32[N, F]`; images do not interact."""


def head_and_backbone(
    head: Task,
    features: Features,
    backbone: Params,
    *,
    head_params: Params | None = None,
    augment: Augment = no_augmentation,
    slices_at_once: int = 32,
) -> Task:
    """Makes the task of training a head and its backbone.

    Args:
        head: a task on features, see `multi_label_studies`.
        features: the backbone, on slices in HU.
        backbone: its initial parameters.
        head_params: the head's initial parameters; None for the head's initialisation.
        augment: `(key, images [B, S, ...]) -> images`, in training only; the same for all slices.
        slices_at_once: the number of slices whose activations the device keeps, at least 1.

    Returns:
        A task with parameters `{'backbone': ..., 'head': ...}` on studies with slices int16[B, S, ...] in HU.
        Padding changes neither loss nor gradient.

    Raises:
        ValueError: when `slices_at_once` is below 1; by `init`, when `head_params` are of another head.
    """
    extract = in_parts(features, slices_at_once)

    def init(key: jax.Array) -> Params:
        initial = head.init(key)
        if head_params is not None:
            if jax.tree.map(jnp.shape, head_params) != jax.tree.map(jnp.shape, initial):
                raise ValueError("head_params: are of another head; set config.model to theirs")
            initial = head_params
        return {"backbone": backbone, "head": initial}

    def with_features(params: Params, study: Study) -> Study:
        images = jnp.asarray(study.slices)
        real = jnp.asarray(study.mask, bool).reshape(*study.mask.shape, *[1] * (images.ndim - 2))
        images = jnp.where(real, images, jnp.asarray(AIR, images.dtype))
        rows = extract(params["backbone"], images.reshape(-1, *images.shape[2:]))
        return study._replace(slices=rows.reshape(*images.shape[:2], -1))

    def loss(params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        images = augment(stream(key, "augment"), batch.inputs.slices)
        study = with_features(params, batch.inputs._replace(slices=images))
        return head.loss(params["head"], batch._replace(inputs=study), key)

    def logits(params: Params, inputs: Study) -> jax.Array:
        return head.logits(params["head"], with_features(params, inputs))

    return Task(init, loss, logits)


def in_parts(features: Features, at_once: int) -> Features:
    """Computes features, and their gradient, for a few images at a time.

    Guarantees: the values equal those of all images at once, the gradients up to the order of float32 sums.

    Args:
        features: differentiable with respect to `params`.
        at_once: images per part, at least 1; fewer images than that are computed directly.

    Returns:
        The same function, differentiable once, with respect to `params` alone.
    """
    if at_once < 1:
        raise ValueError(f"slices_at_once={at_once}: must be at least 1")

    def padded(x: Array) -> jax.Array:
        """Pads with zeros to a multiple of `at_once`."""
        return jnp.pad(x, [(0, -len(x) % at_once), *[(0, 0)] * (x.ndim - 1)])

    @jax.custom_vjp
    def extract(params: Params, images: Array) -> jax.Array:
        parts = padded(images).reshape(-1, at_once, *images.shape[1:])
        rows = jax.lax.map(lambda part: features(params, part), parts)
        return rows.reshape(-1, rows.shape[-1])[: len(images)]

    def forward(params: Params, images: Array) -> tuple[jax.Array, Any]:
        return extract(params, images), (params, images)

    def backward(residuals: Any, cotangent: Array) -> tuple[Params, None]:
        params, images = residuals
        batch = jax.tree.map(padded, Batch(images, cotangent, jnp.ones(len(images))))

        def product(params: Params, part: Batch) -> jax.Array:
            """The mean over images of <f, dl/df>; its gradient is the mean vector-Jacobian product."""
            dots = (features(params, part.inputs) * part.labels).sum(-1)
            return (dots * part.mask).sum() / jnp.maximum(part.mask.sum(), 1)

        mean = jax.grad(accumulate(product, len(batch.mask) // at_once))(params, batch)
        return optax.tree.scale(len(images), mean), None

    extract.defvjp(forward, backward)
    return lambda params, images: (
        features(params, images) if len(images) <= at_once else extract(params, images)
    )
