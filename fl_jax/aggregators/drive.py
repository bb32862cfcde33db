"""DRIVE: one bit per value, the signs of the array after a random rotation, and one scale per array.

r = H D v / sqrt(d)         D: random signs, H: Hadamard matrix; v zero-padded to d, a power of two
send sign(r) and a = ||v||^2 / ||r||_1;   decode  a D H sign(r) / sqrt(d)

Vargaftik et al., "DRIVE: One-bit Distributed Mean Estimation", NeurIPS 2021.
"""

import jax
import jax.numpy as jnp

from fl_jax.aggregators.compression import compress
from fl_jax.core.types import Aggregator, Array


def drive(aggregate: Aggregator | None = None) -> Aggregator:
    """Makes an aggregator that receives one bit per value, array by array.

    Weights: not compressed.

    Args:
        aggregate: receives the decoded messages; None for `weighted_mean()`.

    Returns:
        The aggregator. A site sends d bits and 4 bytes per array; site and server draw the random signs from
        a shared seed, new for every round and site. The decoded x has <x, v> = ||v||^2 exactly. Its mean is
        v for a uniformly random rotation; for this one it is biased on small arrays, by 0.15 to 0.63 of the
        norm up to six values. Scalars and zeros are exact.
    """

    def codec(v: Array, key: jax.Array) -> Array:
        d = _padded(v.size)
        signs = jax.random.rademacher(key, (d,), v.dtype)
        padded = jnp.zeros(d, v.dtype).at[: v.size].set(v.reshape(-1))
        rotated = _hadamard(padded * signs)
        size = abs(rotated).sum()
        scale = (v**2).sum() / jnp.where(size > 0, size, 1)
        decoded = scale * signs * _hadamard(jnp.where(rotated < 0, -1.0, 1.0))
        return decoded[: v.size].reshape(v.shape)

    return compress(codec, lambda size: _padded(size) + 32, aggregate)


def _padded(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def _hadamard(v: Array) -> Array:
    """H v / sqrt(d) in d log2(d) operations; an involution."""
    d = v.size
    for _ in range(d.bit_length() - 1):
        half = v.reshape(2, -1)
        v = jnp.stack([half[0] + half[1], half[0] - half[1]], axis=1).reshape(-1)
    return v / jnp.sqrt(d)
