"""Random keys: every random number derives from one key, through named streams."""

import zlib

import jax

from fl_jax.core.types import Array


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of a named stream; adding a consumer leaves every other stream unchanged.

    The name's CRC-32 is folded into the key, so the stream is the same on every machine and in every process.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def site_key(key: jax.Array, round: Array | int, site: Array | int) -> jax.Array:
    """The key of one site's round."""
    return jax.random.fold_in(jax.random.fold_in(key, round), site)
