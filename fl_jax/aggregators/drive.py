"""DRIVE: a site sends one bit a value, the signs of its array after a random rotation, and one scale.

r = H D v / sqrt(d)         D: random signs, H: Hadamard matrix; v padded with zeros to d, a power of two
send sign(r) and a = ||v||^2 / ||r||_1;   read  a D H sign(r) / sqrt(d)

Vargaftik et al., "DRIVE: One-bit Distributed Mean Estimation", NeurIPS 2021.
"""

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import code
from fl_jax.core.types import Aggregator, Array


def drive(aggregate: Aggregator | None = None) -> Aggregator:
    """Makes an aggregator whose messages arrive as one bit a value, array by array.

    Weights: passed on, not compressed.

    Args:
        aggregate: takes the messages as read; None for `weighted_mean()`.

    Returns:
        The aggregator. A site sends d bits and 4 bytes for an array; both sides draw the random signs
        from a shared seed, afresh in every round and at every site. What is read, x, has <x, v> = ||v||^2
        exactly; its mean is v for a rotation drawn uniformly, and nearly so for this one. A scalar
        arrives as it is; zero arrives as zero.

    Raises:
        ValueError: for an inner aggregator that compresses too.
    """

    def codec(v: Array, key: jax.Array) -> Array:
        d = _padded(v.size)
        signs = jax.random.rademacher(key, (d,), v.dtype)
        padded = jnp.zeros(d, v.dtype).at[: v.size].set(v.reshape(-1))
        rotated = _hadamard(padded * signs)
        size = abs(rotated).sum()
        scale = (v**2).sum() / jnp.where(size > 0, size, 1)
        read = scale * signs * _hadamard(jnp.where(rotated < 0, -1.0, 1.0))
        return read[: v.size].reshape(v.shape)

    return code(codec, lambda size: _padded(size) + 32, aggregate)


def _padded(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def _hadamard(v: Array) -> Array:
    """H v / sqrt(d) in d log2(d) operations; its own inverse."""
    d = v.size
    for _ in range(d.bit_length() - 1):
        half = v.reshape(2, -1)
        v = jnp.stack([half[0] + half[1], half[0] - half[1]], axis=1).reshape(-1)
    return v / jnp.sqrt(d)
