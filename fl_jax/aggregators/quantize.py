"""Quantisation: a site sends every array as small integers and one scale.

a = max |v|,  n = 2^(bits - 1) - 1,  x = n v / a;   send q in {-n..n},  read  a q / n
stochastic:  q = floor(x) + 1 with probability x - floor(x), else floor(x):  E[a q / n] = v
uniform:     q = round(x)

Alistarh et al., "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding", NeurIPS 2017
(with the largest value as scale, as in its experiments).
"""

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import code
from fl_jax.core.types import Aggregator, Array


def quantize(
    bits: int = 8, stochastic: bool = True, aggregate: Aggregator | None = None
) -> Aggregator:
    """Makes an aggregator whose messages arrive quantised, array by array.

    Weights: passed on, not quantised.

    Args:
        bits: of one value, 2 to 16; zero, the largest value and its negative are always exact, and
            so is a scalar.
        stochastic: round at random, so that the error has mean zero and is below a / n; else to the
            nearest, with an error of at most a / 2n that the mean over sites does not average out.
        aggregate: takes the messages as read; None for `weighted_mean()`.

    Returns:
        The aggregator; a site sends `bits` for a value and 4 bytes for a scale.

    Raises:
        ValueError: for `bits` out of range, or an inner aggregator that compresses too.
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits={bits}: must be from 2 to 16")
    n = 2 ** (bits - 1) - 1

    def codec(v: Array, key: jax.Array) -> Array:
        scale = jnp.max(jnp.abs(v), initial=0)
        x = v / jnp.where(scale > 0, scale, 1) * n
        low = jnp.floor(x)
        q = low + (jax.random.uniform(key, v.shape) < x - low) if stochastic else jnp.round(x)
        return q / n * scale

    return code(codec, lambda size: size * bits + 32, aggregate)
