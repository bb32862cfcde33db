"""Every random number comes from one key, through named streams that do not shift one another."""

import zlib

import jax

from fl_jax.core.types import Array


def stream(key: jax.Array, name: str) -> jax.Array:
    """Returns the key of a named stream; adding a consumer leaves every other stream as it was.

    Args:
        key: a typed JAX key, of any batch shape ().
        name: the consumer's name, e.g. `'init'`; its CRC-32 is folded into the key, so the stream is
            the same on every machine and in every process.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def site_key(key: jax.Array, round: Array | int, site: Array | int) -> jax.Array:
    """The key of a site's round."""
    return jax.random.fold_in(jax.random.fold_in(key, round), site)
