"""The vault: cranial cavity, layered bone with sutures, and scalp.

Canonical coordinates, shared by all drawing modules: x to the patient's left, y to anterior, z to the vertex,
mm, origin at the anterior commissure, axes along the AC-PC line, size of the MNI template. A patient is a
scaled and gently warped copy.

HU: tables 1200-1900, diploe 300-800, fat -110 to -80, skin and muscle 40-65 (Bushberg et al., The Essential
Physics of Medical Imaging, 3rd ed.).
"""

import jax
import jax.numpy as jnp

from fl_jax.phantom.drawing import shapes
from fl_jax.phantom.drawing.shapes import (
    Point,
    bump,
    capsule,
    ellipsoid,
    inside,
    meet,
    paint,
    union,
)

Model = dict[str, jax.Array]
"""A patient as scalars and small arrays, from `pack.pack`."""


def canonical(p: jax.Array, m: Model) -> Point:
    """Canonical coordinates, mm, of head coordinates float32[3, N] (LPS mm, origin at the brain's centre)."""
    c = (p[0] / m["size_x"], -p[1] / m["size_y"] - 18.0, p[2] / m["size_z"] + 8.0)
    w = shapes.noise(c, m["warp_waves"], m["warp_mix"])
    return (c[0] + w[0], c[1] + w[1], c[2] + w[2])


def vault(c: Point, m: Model) -> jax.Array:
    """Distance (mm) to the egg-shaped inner table above the base."""
    x, y, z = c
    dz = z - 5.0
    rz = jnp.where(dz > 0.0, 74.0, 58.0)
    rx = 69.5 - 0.05 * (y + 18.0) * m["egg"]
    u, v, w = x / rx, (y + 18.0) / 89.0, dz / rz
    k0 = u * u + v * v + w * w - m["square"] * u * u * v * v
    g = (u / rx) ** 2 + (v / 89.0) ** 2 + (w / rz) ** 2
    k0 = jnp.sqrt(jnp.maximum(k0, 1e-6))
    return k0 * (k0 - 1.0) / jnp.sqrt(g + 1e-9)


def petrous(c: Point) -> jax.Array:
    """Distance (mm) to the petrous pyramids between middle and posterior fossa."""
    x, y, z = c
    ax = jnp.abs(x)
    slope = 0.80 - 0.014 * jnp.clip(-42.0 - z, 0.0, 25.0)
    across = (
        y + 13.5 + slope * (jnp.sqrt(ax * ax + 144.0) - 8.0) - 0.004 * (ax - 30.0) ** 2
    ) / 1.23
    half = jnp.minimum(0.6 * (-25.5 - z), 9.0)
    return jnp.maximum(jnp.abs(across) - half, ax - 64.0)


def base_block(c: Point, m: Model) -> jax.Array:
    """Distance (mm) to the bone under the frontal lobes: orbital roofs, sella, clivus."""
    x, y, z = c
    ax = jnp.abs(x)
    gutter = 12.5 * bump(x / 14.0) - 7.0 * bump(x / 16.0, (y - 17.0) / 8.0)
    turn = (0.5 * ax + y) / 13.0 + m["ripple_phase"]
    ridges = m["ripple"] * (1.0 - 4.0 * jnp.abs(turn - jnp.round(turn)))
    roof = (m["roof"] + ridges) * bump((ax - 30.0) / 12.0, (y - 42.0) / 16.0) - 16.5 - gutter
    front = jnp.maximum(z - roof, 17.0 + 0.28 * ax - y)
    sella = -20.5 - 9.5 * bump(x / 13.0, (y - 3.0) / 9.0)
    behind = (-8.0 + 0.43 * (z + 20.0) - y) / 1.09
    centre = meet(meet(z - sella, behind, 5.0), ax - 11.0 - 0.12 * jnp.abs(z + 20.0), 6.0)
    return union(front, centre, 6.0)


def convexity(c: Point, m: Model) -> jax.Array:
    """Distance (mm) to the cavity without petrous bone, sella and orbital roofs."""
    x, y, z = c
    fossa = ellipsoid((jnp.abs(x), y, z), (42.0, -8.0, -23.0), (25.5, 33.0, 24.0))
    posterior = ellipsoid(c, (0.0, -58.0, -36.0), (56.0, 46.0, 33.5))
    return union(union(vault(c, m), fossa, 5.0), posterior, 9.0)


def cavity(c: Point, m: Model) -> jax.Array:
    """Distance (mm) to the intracranial space inside the dura."""
    canal = capsule(c, (0.0, -42.0, -60.0), (0.0, -47.0, -140.0), 15.5, 11.0)
    d = meet(convexity(c, m), -petrous(c), 3.0)
    d = meet(d, -base_block(c, m), 4.0)
    return union(d, canal, 3.0)


def thickness(c: Point, m: Model, bone: jax.Array) -> jax.Array:
    """Thickness (mm) of the skull: thin squama, thick frontal and occipital midline."""
    x, y, z = c
    ax = jnp.abs(x)
    squama = 0.42 * bump((ax - 68.0) / 16.0, (y + 5.0) / 32.0, (z + 12.0) / 26.0)
    inion = 0.9 * bump(x / 14.0, (y + 105.0) / 12.0, (z + 18.0) / 12.0)
    front = 0.2 * bump(x / 18.0, (y - 72.0) / 14.0)
    low = 0.35 * jnp.clip((-30.0 - z) / 12.0, 0.0, 1.0)
    return m["skull"] * jnp.maximum(1.0 - squama + inion + front - low + 0.10 * bone, 0.3)


def bone_hu(e: jax.Array, t: jax.Array, bone: jax.Array, m: Model) -> jax.Array:
    """HU at e mm outside the inner table, in bone of thickness t mm: table, diploe, table."""
    diploe = inside(jnp.maximum(1.6 - e, e - (t - 2.0)), 1.6)
    spongy = m["hu_diploe"] * (1.0 + 0.22 * bone)
    return paint(m["hu_table"], spongy, diploe)


def sutures(c: Point, m: Model, wiggle: jax.Array) -> jax.Array:
    """Coverage of the coronal, sagittal and lambdoid sutures."""
    x, y, z = c
    ax = jnp.abs(x)
    coronal = jnp.abs(y - 14.0 + 0.22 * (78.0 - z) * 0.35 + 1.6 * wiggle)
    sagittal = jnp.maximum(jnp.abs(x + 1.4 * wiggle), jnp.maximum(y - 14.0, -74.0 - y))
    lambdoid = jnp.abs(0.75 * (y + 74.0 - 0.30 * ax) + 0.66 * (z - 42.0 + 0.75 * ax) + 1.6 * wiggle)
    lambdoid = jnp.maximum(lambdoid, z - 46.0)
    seam = jnp.minimum(jnp.minimum(jnp.maximum(coronal, 0.0), sagittal), lambdoid)
    return m["suture"] * inside(seam - 0.4, 1.2) * (z > 0.0)


def scalp_hu(
    e: jax.Array, muscle: jax.Array, scalp: jax.Array, strands: jax.Array, m: Model
) -> jax.Array:
    """HU at e mm outside the skull: muscle or galea, fat with strands, skin."""
    hu = jnp.full_like(e, -92.0) + 20.0 * strands
    hu = paint(hu, m["muscle"] + 7.0 * strands, inside(e - jnp.maximum(muscle, 1.4), 1.4))
    return paint(hu, 48.0, inside(scalp - 3.1 - e, 1.2))


def temporalis(c: Point, m: Model) -> jax.Array:
    """Thickness (mm) of the temporal muscle."""
    x, y, z = c
    return m["temporalis"] * bump((jnp.abs(x) - 74.0) / 20.0, (y - 6.0) / 34.0, (z + 14.0) / 42.0)


def swelling(c: Point, m: Model) -> tuple[jax.Array, jax.Array]:
    """Extra thickness (mm) of swollen scalp, and its HU."""

    def patch(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row = m["swellings"][i]
        near = bump((c[0] - row[0]) / row[3], (c[1] - row[1]) / row[4], (c[2] - row[2]) / row[5])
        more = row[6] * jnp.clip(1.5 * near - 0.25, 0.0, 1.0)
        return carry[0] + more, jnp.where(more > 0.5, row[7], carry[1])

    start = (jnp.zeros_like(c[0]), jnp.full_like(c[0], 40.0))
    return jax.lax.fori_loop(0, m["swellings_count"], patch, start)


def gaps(c: Point, m: Model) -> jax.Array:
    """Coverage of burr holes, saw lines and fractures."""

    def gap(i: jax.Array, cover: jax.Array) -> jax.Array:
        row = m["cuts"][i]
        v = [a - r for a, r in zip(c, row[0:3], strict=True)]
        r = jnp.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + 1e-3)
        line = jnp.abs(v[0] * row[5] + v[1] * row[6] + v[2] * row[7]) - 0.5 * row[8]
        ring = jnp.abs(r - row[3]) - 0.5 * row[8]
        d = jnp.where(
            row[4] < 0.5, r - row[3], jnp.where(row[4] < 1.5, ring, jnp.maximum(line, r - row[3]))
        )
        return jnp.maximum(cover, inside(d))

    return jax.lax.fori_loop(0, m["cuts_count"], gap, jnp.zeros_like(c[0]))


def head(c: Point, m: Model) -> jax.Array:
    """Distance (mm) to the skin: vault and scalp, neck, face, nose, ears."""
    x, y, z = c
    ax = jnp.abs(x)
    wall = m["skull"] + m["scalp"] + swelling(c, m)[0]
    crown = vault(c, m) - wall - 0.75 * temporalis(c, m)
    back = ellipsoid(c, (0.0, -50.0, -40.0), (62.0 + wall, 50.0 + wall, 48.0))
    neck = ellipsoid(c, (0.0, -42.0, -105.0), (63.0, 58.0, 80.0))
    face = ellipsoid((ax, y, z), (16.0, 20.0, -60.0), (56.0, 62.0, 58.0))
    jaw = ellipsoid(c, (0.0, 30.0, -100.0), (56.0, 60.0, 50.0))
    nose = capsule(c, (0.0, 80.0, -32.0), (0.0, 93.0, -68.0), 5.0, 10.0)
    d = union(union(crown, back, 14.0), union(neck, jaw, 20.0), 14.0)
    d = union(union(d, face, 12.0), nose, 8.0)
    ear = ellipsoid((ax, y, z), (82.0, -32.0 + 0.6 * 3.0, -38.0), (8.0, 13.0, 26.0))
    shell = jnp.abs(ear + 2.5) - 1.8
    return jnp.minimum(d, jnp.maximum(shell, -(y + 34.0) * 0.0 - 50.0))


def draw_vault(p: jax.Array, m: Model) -> jax.Array:
    """HU, float32[N], of points float32[3, N] (mm) outside the cavity and above the base."""
    c = canonical(p, m)
    bone, strands, wiggle = shapes.noise(c, m["bone_waves"], m["bone_mix"])
    e = cavity(c, m)
    return wall_hu(c, e, head(c, m), m, bone, strands, wiggle)


def wall_hu(
    c: Point,
    e: jax.Array,
    skin: jax.Array,
    m: Model,
    bone: jax.Array,
    strands: jax.Array,
    wiggle: jax.Array,
) -> jax.Array:
    """HU at e mm outside the cavity: bone, scalp, air."""
    t = thickness(c, m, 0.0 * bone)
    hu = scalp_hu(e - t, temporalis(c, m), e - t - skin, strands, m)
    more, filled = swelling(c, m)
    hu = paint(
        hu, filled + 5.0 * strands, inside(e - t - 0.75 * more, 2.0) * jnp.clip(more, 0.0, 1.0)
    )
    skull = bone_hu(e, t, bone, m)
    skull = paint(skull, 350.0, sutures(c, m, wiggle))
    skull = paint(skull, 35.0, gaps(c, m))
    hu = paint(hu, skull, inside(e - t))
    return paint(hu, -1000.0, inside(-skin, 1.4))
