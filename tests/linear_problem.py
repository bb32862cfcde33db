"""A small convex problem that a few sites learn together."""

import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.types import Batch


def linear_loss(params, batch, key):
    """Mean logistic loss of a linear model; the key goes unused."""
    del key
    logits = batch.inputs @ params["w"] + params["b"]
    losses = optax.sigmoid_binary_cross_entropy(logits, batch.labels).mean(-1)
    return (losses * batch.mask).sum() / jnp.maximum(batch.mask.sum(), 1)


def site_batches(steps, *, sites=3, size=8, seed=0):
    """Batches [S, T, B, ...]; site s has `steps[s]` real ones, the rest is padding."""
    generator = np.random.default_rng(seed)
    mask = np.zeros((sites, max(steps), size), np.float32)
    for site, count in enumerate(steps):
        mask[site, :count] = 1
        if count:
            mask[site, count - 1, size // 2 :] = 0  # a last batch is seldom full
    return Batch(
        generator.normal(size=(*mask.shape, 4)).astype(np.float32),
        generator.integers(0, 2, (*mask.shape, 2)).astype(np.float32),
        mask,
    )


def streamed(batches):
    """The same batches as the streaming layouts take them: real ones only, site by site."""

    def of(site):
        for step in range(batches.mask.shape[1]):
            if batches.mask[site, step].any():
                yield Batch(*(leaf[site, step] for leaf in batches))

    return of
