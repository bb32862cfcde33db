"""A message with a NaN or an infinity in it: an overflow, a division by zero, memory gone bad.

one entry of every array of m_s becomes NaN, +inf or -inf
"""

from collections.abc import Sequence
from typing import Any

import jax

from fl_jax.core.types import Arrival
from fl_jax.faults.fault import Fault, at


def not_finite(sites: int | Sequence[int], share: float = 1.0, *, value: str = "nan") -> Fault:
    """Makes the fault; see `faulty.at`. The server leaves the message out.

    Args:
        sites: whom it may strike.
        share: how often.
        value: `'nan'`, `'inf'` or `'-inf'`.

    Raises:
        ValueError: for an argument out of its range.
    """
    if value not in ("nan", "inf", "-inf"):
        raise ValueError(f"not_finite: value={value!r}: must be 'nan', 'inf' or '-inf'")

    def sends(memory: Any, arrival: Arrival, key: jax.Array) -> tuple[Any, Arrival]:
        def one(leaf: jax.Array) -> jax.Array:
            place = jax.random.randint(key, (), 0, max(leaf.size, 1))
            return leaf.reshape(-1).at[place].set(float(value)).reshape(leaf.shape)

        return memory, arrival._replace(message=jax.tree.map(one, arrival.message))

    return at("not_finite", sites, share, sends=sends)
