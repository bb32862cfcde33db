"""Mixup: training on convex combinations of two examples and of their labels.

x_b <- lam_b x_b + (1 - lam_b) x_c,  y_b <- lam_b y_b + (1 - lam_b) y_c,  lam_b ~ Beta(alpha, alpha)

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; their code draws one lam per batch. The
partner c is the next example in a random cycle of the batch's real examples, so no example meets itself.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from fl_jax.core.types import Array

Mix = Callable[[jax.Array, jax.Array, Array, Array], tuple[jax.Array, jax.Array]]
"""`(key, inputs [B, ...], labels float32[B, L], mask float32[B]) -> (inputs, labels)`."""


def mixup(alpha: float) -> Mix:
    """Makes mixup.

    Args:
        alpha: of the Beta distribution, in 0.01..100; near 0 most examples remain unmixed.

    Returns:
        `(key, inputs, labels, mask) -> (inputs, labels)`; padding is neither mixed nor a partner.
    """
    if not 0.01 <= alpha <= 100:
        raise ValueError(f"mixup={alpha}: must lie in 0.01..100, or be 0 for no mixup")
    return partial(_mix, alpha)


def _mix(
    alpha: float, key: jax.Array, inputs: jax.Array, labels: Array, mask: Array
) -> tuple[jax.Array, jax.Array]:
    order_key, share_key = jax.random.split(key)
    size, real = len(mask), mask > 0
    order = jnp.argsort(jnp.where(real, jax.random.uniform(order_key, (size,)), 2.0))  # real first
    place = jnp.arange(size)
    count = real.sum()
    following = jnp.where(place < count, (place + 1) % jnp.maximum(count, 1), place)
    partner = jnp.zeros(size, int).at[order].set(order[following])
    share = jax.random.beta(share_key, alpha, alpha, (size,))

    def mix(x: Array) -> jax.Array:
        lam = share.reshape(-1, *[1] * (x.ndim - 1))
        return lam * x + (1 - lam) * x[partner]

    return mix(inputs), mix(labels)
