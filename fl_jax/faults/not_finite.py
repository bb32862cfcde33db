"""A message with a NaN or an infinity: an overflow, a division by zero, faulty memory.

one entry of every array of m_s becomes NaN, +inf or -inf
"""

from collections.abc import Sequence
from typing import Any

import jax

from fl_jax.faults.fault import Arrival, Fault, at_sites


def not_finite(sites: int | Sequence[int], share: float = 1.0, *, value: str = "nan") -> Fault:
    """Makes the fault. The server refuses the message.

    Args:
        sites, share: which sites it may strike and how often, see `fault.at_sites`.
        value: `'nan'`, `'inf'` or `'-inf'`.
    """
    if value not in ("nan", "inf", "-inf"):
        raise ValueError(f"not_finite: value={value!r}: must be 'nan', 'inf' or '-inf'")

    def transmit(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        def corrupt(leaf: jax.Array) -> jax.Array:
            place = jax.random.randint(key, (), 0, max(leaf.size, 1))
            return leaf.reshape(-1).at[place].set(float(value)).reshape(leaf.shape)

        return memory, arrival._replace(message=jax.tree.map(corrupt, arrival.message))

    return at_sites("not_finite", sites, share, transmit=transmit)
