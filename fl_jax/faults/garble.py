"""A message whose structure, shape or dtype is not the model's: an old version, a broken transfer."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.core.trees import conforms
from fl_jax.faults.fault import Arrival, Fault, at_sites


def garble(sites: int | Sequence[int], share: float = 1.0, *, how: str = "shape") -> Fault:
    """Makes the fault. The server refuses the message, as `core.trees.conforms` is False for it.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        how: `'shape'`: every array has one value too many; `'dtype'`: half precision; `'structure'`: the
            arrays without their names.
    """
    garbled = {
        "shape": lambda message: jax.tree.map(lambda x: jnp.append(x, 0), message),
        "dtype": lambda message: jax.tree.map(lambda x: x.astype(jnp.float16), message),
        "structure": lambda message: [*jax.tree.leaves(message), 0],
    }
    if how not in garbled:
        raise ValueError(f"garble: how={how!r}: must be one of {', '.join(garbled)}")

    def transmit(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        del key
        readable = conforms(garbled[how](arrival.message), arrival.message)
        return memory, arrival._replace(readable=arrival.readable & readable)

    return at_sites("garble", sites, share, transmit=transmit)
