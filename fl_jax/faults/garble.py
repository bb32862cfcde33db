"""A message of another structure, shape or dtype than the model's: an old version, a broken transfer."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.aggregators.messages import conforms
from fl_jax.core.types import Arrival
from fl_jax.faults.fault import Fault, at


def garble(sites: int | Sequence[int], share: float = 1.0, *, how: str = "shape") -> Fault:
    """Makes the fault; see `faulty.at`. The server leaves the message out: it cannot be added.

    Args:
        sites: whom it may strike.
        share: how often.
        how: `'shape'`: every array has one value too many; `'dtype'`: half precision; `'structure'`: the
            arrays without their names. The check that refuses it is `messages.conforms`.

    Raises:
        ValueError: for an argument out of its range.
    """
    wrong = {
        "shape": lambda message: jax.tree.map(lambda x: jnp.append(x, 0), message),
        "dtype": lambda message: jax.tree.map(lambda x: x.astype(jnp.float16), message),
        "structure": lambda message: [*jax.tree.leaves(message), 0],
    }
    if how not in wrong:
        raise ValueError(f"garble: how={how!r}: must be one of {', '.join(wrong)}")

    def sends(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        del key
        readable = conforms(wrong[how](arrival.message), arrival.message)
        return memory, arrival._replace(readable=arrival.readable & readable)

    return at("garble", sites, share, sends=sends)
