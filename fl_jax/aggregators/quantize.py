"""Quantisation: every array is sent as small integers and one scale.

a = max |v|,  n = 2^(bits - 1) - 1,  x = n v / a;   send q in {-n..n},  decode  a q / n
stochastic:  q = floor(x) + 1 with probability x - floor(x), else floor(x):  E[a q / n] = v
uniform:     q = round(x)

Alistarh et al., "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding", NeurIPS 2017
(with the largest value as the scale, as in their experiments).
"""

import jax
import jax.numpy as jnp

from fl_jax.aggregators.compression import compress
from fl_jax.core.types import Aggregator, Array


def quantize(
    bits: int = 8, stochastic: bool = True, aggregate: Aggregator | None = None
) -> Aggregator:
    """Makes an aggregator that receives quantised messages, array by array.

    Weights: not quantised.

    Args:
        bits: per value, 2 to 16. Zero, the largest value and its negative are exact, and so are scalars.
        stochastic: rounds at random: the error has mean zero and is below a / n. Otherwise rounds to the
            nearest: the error is at most a / 2n, but the mean over sites does not average it out.
        aggregate: receives the decoded messages; None for `weighted_mean()`.

    Returns:
        The aggregator; a site sends `bits` per value and 4 bytes per array.

    Raises:
        ValueError: when `bits` is out of range, or `aggregate` compresses, too.

    >>> import jax.numpy as jnp
    >>> quantize(bits=4).payload({"w": jnp.zeros(100), "b": jnp.zeros(2)})  # 50 + 4 and 1 + 4 bytes
    59
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits={bits}: must lie in 2..16")
    n = 2 ** (bits - 1) - 1

    def codec(v: Array, key: jax.Array) -> Array:
        scale = jnp.max(jnp.abs(v), initial=0)
        x = v / jnp.where(scale > 0, scale, 1) * n
        low = jnp.floor(x)
        q = low + (jax.random.uniform(key, v.shape) < x - low) if stochastic else jnp.round(x)
        return q / n * scale

    return compress(codec, lambda size: size * bits + 32, aggregate)
