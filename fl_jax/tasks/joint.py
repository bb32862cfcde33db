"""A head over studies trained together with the backbone that reads their slices.

logits  = head(f),   f_bs = backbone(image_bs)
dl / dw = sum over parts p of  (df_p / dw)^T dl/df_p,      w the backbone's parameters, f_p computed again

The gradient goes through the backbone part by part, so that the device holds the activations of a few
slices, whatever the length of the studies: f is all that is kept of the forward pass. Two such passes are in
Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.keys import stream
from fl_jax.core.types import AIR, Array, Batch, Params, Study
from fl_jax.tasks.micro_batches import accumulate
from fl_jax.tasks.task import Task

Features = Callable[[Params, Array], jax.Array]
"""`(params, images [N, ...]) -> float32[N, F]`, each image by itself."""


def joint(
    head: Task,
    features: Features,
    backbone: Params,
    *,
    begin: Params | None = None,
    augment: Callable[[jax.Array, Array], Array] = lambda key, images: images,
    at_once: int = 32,
) -> Task:
    """Makes the task of a head and its backbone.

    Args:
        head: on features, see `task.of_studies`.
        features: what the backbone says of slices in HU.
        backbone: the parameters that it begins with.
        begin: the parameters that the head begins with; None for the head's own beginning.
        augment: `(key, images [B, S, ...]) -> images`, in training only: a study's slices are changed alike.
        at_once: slices whose activations are held at once.

    Returns:
        A task of parameters `{'backbone': ..., 'head': ...}` on studies whose slices are int16[B, S, ...] in
        HU. Padding changes neither loss nor gradient.

    Raises:
        ValueError: when `at_once` is less than 1; by `init`, when the head that `begin` is of is another one.
    """
    read = in_parts(features, at_once)

    def init(key: jax.Array) -> Params:
        own = head.init(key)
        if begin is not None and jax.tree.map(jnp.shape, begin) != jax.tree.map(jnp.shape, own):
            raise ValueError("begin: is of another head than config.model; give the same")
        return {"backbone": backbone, "head": own if begin is None else begin}

    def as_features(params: Params, study: Study) -> Study:
        images = jnp.asarray(study.slices)
        real = jnp.asarray(study.mask, bool).reshape(*study.mask.shape, *[1] * (images.ndim - 2))
        images = jnp.where(real, images, jnp.asarray(AIR, images.dtype))
        found = read(params["backbone"], images.reshape(-1, *images.shape[2:]))
        return study._replace(slices=found.reshape(*images.shape[:2], -1))

    def loss(params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        images = augment(stream(key, "augment"), batch.inputs.slices)
        study = as_features(params, batch.inputs._replace(slices=images))
        return head.loss(params["head"], batch._replace(inputs=study), key)

    def logits(params: Params, inputs: Study) -> jax.Array:
        return head.logits(params["head"], as_features(params, inputs))

    return Task(init, loss, logits)


def in_parts(features: Features, at_once: int) -> Features:
    """Computes features, and their gradient, of a few images at a time.

    Guarantees: values are those of all images together; gradients too, but for the order of float32 sums.

    Args:
        features: differentiable by `params`.
        at_once: images of a part, at least 1; fewer images than that are one part, as they are.

    Returns:
        The same function; it is differentiable once, by `params` alone.

    Raises:
        ValueError: when `at_once` is less than 1.
    """
    if at_once < 1:
        raise ValueError(f"at_once={at_once}: must be at least 1")

    def filled(x: Array) -> jax.Array:
        """With zeros up to a multiple of `at_once`."""
        return jnp.pad(x, [(0, -len(x) % at_once), *[(0, 0)] * (x.ndim - 1)])

    @jax.custom_vjp
    def whole(params: Params, images: Array) -> jax.Array:
        parts = filled(images).reshape(-1, at_once, *images.shape[1:])
        found = jax.lax.map(lambda part: features(params, part), parts)
        return found.reshape(-1, found.shape[-1])[: len(images)]

    def forward(params: Params, images: Array) -> tuple[jax.Array, Any]:
        return whole(params, images), (params, images)

    def backward(kept: Any, slopes: Array) -> tuple[Params, None]:
        params, images = kept
        batch = jax.tree.map(filled, Batch(images, slopes, jnp.ones(len(images))))

        def product(params: Params, part: Batch) -> jax.Array:
            """The mean over images of f . dl/df, whose gradient is what is asked for."""
            found = (features(params, part.inputs) * part.labels).sum(-1)
            return (found * part.mask).sum() / jnp.maximum(part.mask.sum(), 1)

        mean = jax.grad(accumulate(product, len(batch.mask) // at_once))(params, batch)
        return optax.tree.scale(len(images), mean), None

    whole.defvjp(forward, backward)
    return lambda params, images: (
        features(params, images) if len(images) <= at_once else whole(params, images)
    )
