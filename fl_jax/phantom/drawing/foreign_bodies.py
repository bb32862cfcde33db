"""Draws tubes, clips, leads and fillings as rods."""

import jax
import jax.numpy as jnp

from fl_jax.phantom.drawing.shapes import Point, capsule, inside
from fl_jax.phantom.drawing.skull import Model


def foreign(c: Point, m: Model) -> tuple[jax.Array, jax.Array]:
    """HU of foreign bodies at canonical points (-1000 elsewhere), and a metal mask, bool[N]."""

    def rod(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row = m["rods"][i]
        d = capsule(c, (row[0], row[1], row[2]), (row[3], row[4], row[5]), row[6], row[6])
        hu = jnp.where(d < 0.6, -1000.0 + (row[7] + 1000.0) * inside(d), -1000.0)
        return jnp.maximum(carry[0], hu), carry[1] | ((d < 0.0) & (row[8] > 0.5))

    start = (jnp.full_like(c[0], -1000.0), jnp.zeros(c[0].shape, bool))
    return jax.lax.fori_loop(0, m["rods_count"], rod, start)
