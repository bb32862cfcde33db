"""Every random number comes from one key, through named streams that do not shift one another."""

import zlib

import jax


def stream(key: jax.Array, name: str) -> jax.Array:
    """Returns the key of a named stream; adding a consumer leaves every other stream as it was.

    Args:
        key: a typed JAX key, of any batch shape ().
        name: the consumer's name, e.g. `'init'`; its CRC-32 is folded into the key, so the stream is
            the same on every machine and in every process.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
