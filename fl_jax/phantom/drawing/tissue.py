"""Paints tissue inside the cavity: fluid, cortex, white matter, nuclei, dura and vessels.

HU: grey matter 37-41, white matter 27-32, cerebrospinal fluid 4-10, blood pool 40-60 with the hematocrit,
dura 45-60 (Lev & Gonzalez in Brain Mapping: The Methods, 2nd ed., 2002; New & Aronow, Radiology
1976;121:635-640 for blood).
"""

import jax
import jax.numpy as jnp

from fl_jax.phantom.drawing import brain
from fl_jax.phantom.drawing.brain import Parts
from fl_jax.phantom.drawing.shapes import bump, capsule, ellipsoid, inside, paint
from fl_jax.phantom.drawing.skull import Model


def tissue(b: Parts, m: Model, mottle: jax.Array) -> jax.Array:
    """HU, float32[N], of the healthy brain and its fluid; `mottle` is float32[N] texture of unit variance."""
    q = b.point
    grey, white = m["grey"] + 0.9 * mottle, m["white"] + 0.9 * mottle
    matter = _cerebrum(b, m, grey, white)
    hu = paint(m["csf"] + 0.0 * mottle, matter, inside(b.cerebrum))
    hu = _cerebellum(b, m, hu, grey, white)
    stem = m["white"] + 0.45 * (m["grey"] - m["white"]) + 0.9 * mottle
    hu = paint(hu, stem, inside(b.stem))
    chiasm = capsule((jnp.abs(q[0]), q[1], q[2]), (7.0, 5.0, -17.5), (0.5, -1.0, -15.0), 1.7, 1.9)
    pituitary = ellipsoid(q, (0.0, 2.5, -25.0), (6.5, 5.0, 4.0))
    hu = paint(hu, stem, inside(jnp.minimum(chiasm, pituitary)))
    ventricles = jnp.minimum(jnp.minimum(b.lateral, b.third), b.fourth)
    return paint(hu, m["csf"], inside(ventricles))


def glow(outer: jax.Array, m: Model) -> jax.Array:
    """HU that bone adds at a distance `outer` (mm, negative inside) to the cavity, by partial volume."""
    return m["glow"] * jnp.exp(jnp.minimum(outer, 0.0) / m["glow_reach"])


def _cerebrum(b: Parts, m: Model, grey: jax.Array, white: jax.Array) -> jax.Array:
    """HU of the hemispheres without fluid: white matter, cortex, deep nuclei."""
    q = b.point
    ribbon = inside(b.cortex - m["cortex"], 2.8)
    ribbon = ribbon * (1.0 - inside(brain.callosum(q), 3.0))
    insula = jnp.abs(jnp.abs(q[0]) - 35.5) - 2.0
    insula = jnp.maximum(
        insula, jnp.maximum(jnp.abs(q[2] - 1.0) - 15.0, jnp.abs(q[1] + 1.0) - 24.0)
    )
    hu = paint(white, grey, jnp.maximum(ribbon, 0.7 * inside(insula, 2.0)))
    hu = paint(hu, grey, inside(brain.caudate(q), 2.0))
    hu = paint(hu, grey + 0.5, inside(brain.lentiform(q), 2.0))
    hu = paint(hu, grey - 1.0, inside(brain.thalamus(q), 2.5))
    rims = jnp.maximum(inside(b.lateral - m["caps"], 6.0), 0.6 * inside(b.lateral - 1.5, 3.0))
    dark = m["leuko"] * rims * (1.0 - ribbon)
    return paint(hu, m["csf"] + 10.0, jnp.clip(dark, 0.0, 0.9))


def _cerebellum(b: Parts, m: Model, hu: jax.Array, grey: jax.Array, white: jax.Array) -> jax.Array:
    """Paints the cerebellum: cortical folia and a white core."""
    x, y, z = b.point
    core = ellipsoid((jnp.abs(x), y, z), (20.0, -58.0, -37.0), (17.0, 13.0, 8.0))
    rings = (core + 0.25 * z) / 4.2
    rings = rings - jnp.round(rings)
    depth = 3.0 + 4.0 * m["atrophy"]
    leaf = grey - 2.5 - depth * inside(jnp.abs(rings) - 0.08, 0.12) * jnp.clip(core / 6.0, 0.0, 1.0)
    matter = paint(leaf, white + 1.0, inside(core, 7.0))
    return paint(hu, matter, inside(b.cerebellum))


def dura(b: Parts, m: Model, hu: jax.Array) -> jax.Array:
    """Paints falx, tentorium, venous sinuses, basal arteries, cortical veins and choroid plexus."""
    q = b.point
    x, y, z = q
    ax = jnp.abs(x)
    s = (ax, y, z)
    blood = m["blood_pool"]
    edge = 1.0 - jnp.sqrt(((y + 14.0) / 47.0) ** 2 + ((z - 3.0) / 37.0) ** 2 + 1e-6)
    over = jnp.maximum(edge * 36.0, -b.tent)
    falx = jnp.maximum(ax - m["falx"], over)
    leaf = jnp.maximum(jnp.abs(b.tent) - m["falx"], jnp.maximum(-brain.notch(q), y + 8.0))
    hu = paint(hu, m["hu_dura"], jnp.maximum(inside(falx), inside(leaf)))
    flow = jnp.maximum(ax + 0.75 * b.depth - m["sinus"], jnp.maximum(-16.0 - z, y - 62.0))
    flow = jnp.minimum(flow, capsule(q, (0.0, -48.0, 2.0), (0.0, -104.0, -18.0), 1.5, 2.3))
    larger = 1.0 + m["transverse_skew"] * jnp.clip(x / 12.0, -1.0, 1.0)
    deep = b.depth - 5.0 - m["torcula"] * bump(x / 9.0)
    side = jnp.maximum(jnp.maximum(deep, jnp.abs(b.tent) - m["transverse"] * larger), y + 46.0)
    flow = jnp.minimum(flow, side)
    sigmoid = capsule(s, (56.0, -50.0, -28.0), (46.0, -44.0, -56.0), 4.0, 4.5)
    flow = jnp.minimum(flow, sigmoid + 4.0 * (1.0 - larger))
    flow = jnp.minimum(flow, capsule(q, (0.0, -38.0, 6.0), (0.0, -48.0, 3.0), 1.6, 1.7))
    hu = paint(hu, blood, inside(jnp.minimum(flow, vessels(b) - m["artery"])))
    turn = (y + 0.7 * z) / 37.0 + m["vein_phase"]
    some = jnp.clip(2.0 - 8.0 * jnp.abs(turn - jnp.round(turn)), 0.0, 1.0)
    veins = m["veins"] * some * inside(b.depth - 2.0, 2.0) * inside(b.sulcus - 0.4)
    hu = paint(hu, blood, veins)
    plexus = ellipsoid(s, (23.0, -42.0, 7.0), (1.8, 4.5, 3.0))
    return paint(hu, 38.0, m["plexus"] * inside(plexus, 2.0) * inside(b.lateral))


def vessels(b: Parts) -> jax.Array:
    """Distance to carotid tips, middle and anterior cerebral, basilar and vertebral arteries."""
    x, y, z = b.point
    s = (jnp.abs(x), y, z)
    d = capsule(s, (11.0, 3.0, -26.0), (9.0, 1.0, -17.5), 2.0, 1.8)
    d = jnp.minimum(d, capsule(s, (9.0, 1.0, -17.5), (20.0, 4.0, -17.0), 1.6, 1.4))
    d = jnp.minimum(d, capsule(s, (20.0, 4.0, -17.0), (36.0, 7.0, -13.0), 1.4, 1.0))
    d = jnp.minimum(d, capsule(s, (9.0, 1.0, -17.5), (1.5, 12.0, -13.0), 1.1, 1.0))
    d = jnp.minimum(d, capsule(s, (1.0, -14.0, -19.0), (0.0, -13.5, -36.0), 1.7, 1.8))
    return jnp.minimum(d, capsule(s, (1.0, -14.0, -37.0), (10.0, -26.0, -62.0), 1.5, 1.7))
