"""Shapes inside the cavity: hemispheres, fissures, sulci, ventricles, nuclei, cerebellum, brain stem.

Functions return distances in mm, negative inside, at canonical coordinates (see `skull`). Fluid fills what
the solid parts leave free, so cisterns and sulci widen when the brain shrinks.

Positions follow the Talairach & Tournoux atlas (1988) and the MNI152 template.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fl_jax.phantom.drawing import shapes, skull
from fl_jax.phantom.drawing.shapes import Point, bump, capsule, ellipsoid, meet, union
from fl_jax.phantom.drawing.skull import Model


class Parts(NamedTuple):
    """Distances (float32[N], mm, negative inside) for painting tissue and blood."""

    point: Point
    depth: jax.Array
    outer: jax.Array
    tent: jax.Array
    cerebrum: jax.Array
    cortex: jax.Array
    sulcus: jax.Array
    sylvian: jax.Array
    fissure: jax.Array
    basal: jax.Array
    lateral: jax.Array
    third: jax.Array
    fourth: jax.Array
    cerebellum: jax.Array
    stem: jax.Array


def tentorium(c: Point) -> jax.Array:
    """Height above the tentorium; positive is supratentorial."""
    x, y, z = c
    ax = jnp.abs(x)
    middle = 4.0 - 7.0 * bump(ridge(c) / 10.0) - 0.40 * jnp.clip(-48.0 - y, -4.0, 60.0)
    slope = jnp.clip((y + 108.0) / 46.0, 0.0, 1.35)
    fall = slope * (0.58 * jnp.sqrt(ax * ax + 16.0) - 2.3 - 0.0018 * ax * ax)
    return (z - middle + fall) / 1.2


def ridge(c: Point) -> jax.Array:
    """Distance in front of the petrous ridges, where the tentorium attaches."""
    x, y, _ = c
    return (y + 13.5 + 0.72 * jnp.abs(x)) / 1.23


def notch(c: Point) -> jax.Array:
    """Distance to the tentorial notch."""
    x, y, _ = c
    return 17.0 * (jnp.sqrt((x / 17.0) ** 2 + ((y + 22.0) / 25.0) ** 2 + 1e-6) - 1.0)


def arch(c: Point) -> jax.Array:
    """Level of the midline block that joins the hemispheres: 1 at the centre, negative outside."""
    _, y, z = c
    low = jnp.maximum(jnp.minimum(z + 2.0, 0.0), -16.0)
    v = (y + 5.0 - 0.7 * low) / (39.5 + 0.8 * low)
    w = z / jnp.where(z > 0.0, 29.0, 34.0)
    return 1.0 - jnp.sqrt(v * v + w * w + 1e-6)


def interhemispheric(c: Point, m: Model) -> jax.Array:
    """Distance to the interhemispheric fissure."""
    x, y, z = c
    width = m["fissure"] * (1.0 + 0.8 * bump((y - 40.0) / 30.0, (z - 5.0) / 35.0))
    return jnp.maximum(jnp.abs(x) - width, 32.0 * arch(c))


def sylvian(c: Point, m: Model, rough: jax.Array, curl: jax.Array) -> jax.Array:
    """Distance to the Sylvian fissures: slit to the surface, and pocket over the insula."""
    x, y, z = c
    ax = jnp.abs(x)
    line = 1.5 + 0.58 * (2.0 - y) + 0.12 * (ax - 50.0) + 4.5 * rough + 1.5 * curl
    slit = jnp.abs(z - line) / 1.1 - m["sylvian"] * (0.45 + 0.025 * jnp.clip(ax - 38.0, 0.0, 30.0))
    slit = jnp.maximum(slit, jnp.maximum(36.0 - ax, jnp.maximum(y - 24.0, -42.0 - y)))
    bow = 0.012 * (y - 2.0) ** 2 * jnp.where(y > 2.0, -1.0, -0.1) - 0.006 * (z - 2.0) ** 2
    bend = 38.5 + bow + 1.4 * rough + 1.1 * curl
    pocket = jnp.abs(ax - bend) - m["sylvian"] * (0.5 + 0.45 * curl + 0.3 * rough)
    limit = jnp.maximum(jnp.abs(z - line * 0.5) - 14.0, jnp.maximum(y - 25.0, -27.0 - y))
    pocket = jnp.maximum(pocket, limit)
    stem = capsule(
        (ax, y, z), (16.0, 4.0, -18.0), (37.0, 8.0, -14.0), 1.2 + m["sylvian"], 1.0 + m["sylvian"]
    )
    return jnp.minimum(jnp.minimum(slit, pocket), stem)


def basal_cistern(c: Point, m: Model) -> jax.Array:
    """Distance to the brain stem with its cisterns: suprasellar star, ambient ring, quadrigeminal smile."""
    x, y, z = c
    ax = jnp.abs(x)
    r = jnp.sqrt(x * x + (y + 1.0) ** 2 + 0.5)
    t = (y + 1.0) / r
    five = t * (16.0 * t**4 - 20.0 * t**2 + 5.0)
    star = r - (11.0 + 4.8 * five) * m["cistern"]
    star = jnp.maximum(star, jnp.abs(z + 21.0) - 8.5)
    ring = ellipsoid(
        (ax, y, z),
        (0.0, -24.0, -12.0),
        (15.6 + 0.8 * m["ambient"], 14.5 + 0.8 * m["ambient"], 15.0),
    )
    smile = ellipsoid(
        (ax, y + 0.02 * x * x, z), (0.0, -41.0, -3.0), (15.0, 4.5 + 0.7 * m["ambient"], 7.0)
    )
    deep = jnp.maximum(
        16.5 * (jnp.sqrt((x / 16.5) ** 2 + ((y + 20.0) / 31.0) ** 2 + 1e-6) - 1.0), z + 17.0
    )
    return union(jnp.minimum(star, deep), jnp.minimum(ring, smile), 2.0)


def lateral_ventricle(c: Point, m: Model) -> jax.Array:
    """Distance to the lateral ventricles: frontal horn, body, atrium, occipital and temporal horns."""
    x, y, z = c
    ax = jnp.abs(x)
    s = (ax, y, z)
    sign = jnp.clip(x / 4.0, -1.0, 1.0)
    grow = m["vent"] + sign * m["vent_tilt"]
    tall = (ax, y, 0.62 * z)
    horn = capsule(tall, (4.0, 4.0, 6.5), (12.5, 30.0, 4.0), 2.4, 2.8)
    flat = (ax, y, 1.25 * z)
    body = capsule(flat, (8.0, 20.0, 22.0), (11.5, -8.0, 28.0), 4.6, 4.8)
    body = jnp.minimum(body, capsule(flat, (11.5, -8.0, 28.0), (20.0, -34.0, 21.0), 4.8, 5.2))
    d = union(horn, body, 4.0)
    d = union(d, ellipsoid(s, (24.0, -41.0, 11.0), (6.8, 8.5, 10.0)), 4.0)
    occipital = capsule(s, (25.0, -45.0, 8.0), (23.5, -72.0 + 6.0 * m["occipital"], 4.0), 4.0, 0.8)
    d = union(d, occipital + m["occipital"] + 0.7 * sign * m["vent_tilt"], 3.0)
    d = d - grow
    temporal = capsule(s, (29.0, -38.0, -1.0), (35.0, -22.0, -14.0), 2.2, 1.4)
    temporal = jnp.minimum(
        temporal, capsule(s, (35.0, -22.0, -14.0), (31.0, -7.0, -19.0), 1.4, 1.6)
    )
    d = union(d, temporal + 0.7 - 0.6 * grow, 2.0)
    d = meet(d, -(caudate(c) + 0.4 * jnp.minimum(grow, 3.0)), 2.0)
    d = meet(d, -(thalamus(c) + 0.3 * grow), 2.0)
    return jnp.maximum(d, 0.7 - ax)


def caudate(c: Point) -> jax.Array:
    """Distance to head and body of the caudate nuclei."""
    x, y, z = c
    s = (jnp.abs(x), y, z)
    body = capsule(s, (17.5, 8.0, 14.0), (24.0, -22.0, 17.5), 3.6, 2.2)
    return union(ellipsoid(s, (13.0, 15.0, 5.0), (5.6, 9.5, 10.5)), body, 3.0)


def thalamus(c: Point) -> jax.Array:
    """Distance to the thalami."""
    x, y, z = c
    ax = jnp.abs(x)
    return ellipsoid((ax + 0.38 * (y + 18.0), y, z), (11.0, -18.0, 6.5), (8.5, 15.0, 9.0))


def lentiform(c: Point) -> jax.Array:
    """Distance to putamen and pallidum, a lens pointing to the midline."""
    x, y, z = c
    ax = jnp.abs(x) + 0.006 * (y - 1.0) ** 2
    lens = ellipsoid((ax, y, z), (24.0, 1.0, 1.0), (9.5, 19.5, 11.5))
    return meet(lens, 17.5 - jnp.abs(x) + 0.32 * jnp.abs(y + 3.0), 3.0)


def third_ventricle(c: Point, m: Model) -> jax.Array:
    """Distance to the third ventricle, a midline slit."""
    x, y, z = c
    slit = ellipsoid((x * 0.0, y, z), (0.0, -11.0, -1.5), (1.0, 16.0, 10.0))
    slit = jnp.maximum(slit, -ellipsoid((0.0 * x, y, z), (0.0, -12.0, 4.0), (1.0, 3.0, 2.5)))
    return meet(slit, jnp.abs(x) - m["third"], 1.5)


def fourth_ventricle(c: Point, m: Model) -> jax.Array:
    """Distance to the fourth ventricle and the aqueduct."""
    x, y, z = c
    ax = jnp.abs(x)
    wide = 5.0 + 0.8 * m["vent"]
    tent = ellipsoid(
        (ax, y + 0.10 * x * x * 0.3, z),
        (0.0, -45.5, -32.0),
        (wide + 2.0, 4.2 + 0.3 * m["vent"], 11.0),
    )
    recess = capsule((ax, y, z), (0.0, -43.0, -35.0), (10.0, -43.5, -38.0), 2.2, 1.0)
    return jnp.minimum(
        union(tent, recess, 2.0), capsule(c, (0.0, -31.0, -8.0), (0.0, -42.0, -24.0), 0.7, 1.3)
    )


def cerebellum(c: Point, depth: jax.Array, tent: jax.Array, stem: jax.Array, m: Model) -> jax.Array:
    """Distance to the cerebellum."""
    x, y, z = c
    s = (jnp.abs(x), y, z)
    d = ellipsoid(s, (14.0, -62.0, -34.0), (46.0, 46.0, 35.0))
    d = meet(d, m["gap_low"] - depth, 2.0)
    d = meet(d, tent + m["gap_tent"], 2.0)
    low = jnp.clip((-44.0 - z) / 8.0, 0.0, 1.0)
    clear = (1.2 + 0.9 * m["ambient"]) * jnp.maximum(
        jnp.clip((z + 26.0) / 8.0, 0.0, 1.0), 0.3 * low
    )
    d = meet(d, clear - stem, 2.0)
    angle = ellipsoid(s, (22.0, -27.0, -40.0), (10.0, 6.0 + 1.5 * m["gap"], 7.0))
    magna = ellipsoid(c, (0.0, -84.0, -66.0), (15.0, 14.0, 6.0 + 1.5 * m["gap"]))
    d = meet(meet(d, -angle, 3.0), -magna, 3.0)
    vallecula = ellipsoid(c, (0.0, -92.0, -58.0), (2.5 + 0.5 * m["gap"], 12.0, 15.0))
    return meet(meet(d, -vallecula, 3.0), y + 31.0 + 0.12 * s[0] + 6.0 * low, 3.0)


def brain_stem(c: Point) -> jax.Array:
    """Distance to midbrain, pons, cerebellar peduncles, medulla and cord."""
    x, y, z = c
    s = (jnp.abs(x), y, z)
    d = union(
        ellipsoid(s, (9.5, -17.0, -11.0), (6.0, 8.5, 14.0)),
        ellipsoid(c, (0.0, -25.0, -10.0), (13.5, 9.5, 14.0)),
        2.5,
    )
    d = union(d, ellipsoid(s, (6.5, -32.0, -6.0), (7.5, 6.5, 9.0)), 2.0)
    d = union(d, ellipsoid(c, (0.0, -27.5, -31.0), (17.5, 12.0, 13.0)), 3.0)
    d = union(d, capsule(s, (10.0, -31.0, -33.0), (24.0, -46.0, -37.0), 8.0, 7.0), 3.0)
    d = union(d, capsule(c, (0.0, -31.0, -42.0), (0.0, -42.0, -68.0), 9.0, 7.0), 4.0)
    return union(d, capsule(c, (0.0, -42.0, -68.0), (0.0, -47.0, -140.0), 6.5, 5.2), 3.0)


def callosum(c: Point) -> jax.Array:
    """Distance to the corpus callosum and its radiation."""
    shell = jnp.abs(arch(c) - 0.10) * 34.0 - 3.2
    return jnp.maximum(shell, jnp.maximum(jnp.abs(c[0]) - 16.0, -2.0 - c[2]))


def parts(c: Point, m: Model, outer: jax.Array, fill: jax.Array, curl: jax.Array) -> Parts:
    """Evaluates all shapes of the brain.

    Args:
        c: canonical coordinates with the mass effect undone, mm.
        m: the patient.
        outer: distance of the displaced points to the cavity, mm.
        fill: blood in the sulci, in [0, 1]; it holds them open.
        curl: random field of unit variance that makes surfaces uneven.
    """
    w = shapes.noise(c, m["brain_waves"], m["brain_mix"])
    free = 0.35 + 0.65 * jnp.clip(jnp.abs(c[0]) / 25.0, 0.0, 1.0)
    q = (c[0] + w[0] * free, c[1] + w[1], c[2] + w[2])
    depth = -skull.cavity(c, m)
    tent = tentorium(q)
    stem = brain_stem(q)
    fissure = interhemispheric(q, m)
    sylv = sylvian(q, m, w[3], curl)
    basal = basal_cistern(q, m)
    gap = 1.0 + m["gap_frontal"] * bump((q[1] - 55.0) / 30.0) + m["gap_patchy"] * w[3]
    gap = m["touch"] + m["gap"] * jnp.maximum(gap, 0.0)
    solid = meet(gap - depth, -fissure, 2.0)
    solid = meet(solid, -sylv, 2.0)
    roofed = jnp.minimum(m["gap_tent"] - tent, 0.5 - ridge(q))
    solid = meet(meet(solid, roofed, 1.5), -basal, 2.0)
    shallow = meet(gap - depth, -fissure, 4.0)
    sulcus = _sulci(q, shallow, w[3], m) - m["sulci_open"] * fill
    cerebrum = jnp.maximum(solid, -sulcus)
    shell = jnp.maximum(cerebrum, -40.0)
    return Parts(
        point=q,
        depth=depth,
        outer=outer,
        tent=tent,
        cerebrum=cerebrum,
        cortex=-shell,
        sulcus=sulcus,
        sylvian=sylv,
        fissure=fissure,
        basal=basal,
        lateral=lateral_ventricle(q, m),
        third=third_ventricle(q, m),
        fourth=fourth_ventricle(q, m),
        cerebellum=cerebellum(q, depth, tent, stem, m),
        stem=stem,
    )


def _sulci(q: Point, solid: jax.Array, rough: jax.Array, m: Model) -> jax.Array:
    """Distance to the sulci, folded sheets that run inwards from the surface."""
    x, y, z = q
    u = (x / 66.0, (y + 18.0) / 86.0, (z - 2.0) / 68.0)
    k = jnp.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2] + 1e-2)
    pull = 1.0 + 0.62 * (1.0 / jnp.maximum(k, 0.35) - 1.0)
    _, sheet = shapes.noise_sheet((x * pull, (y + 18.0) * pull, z * pull), m["sulcus_waves"])
    reach = m["sulcus_depth"] * (1.0 + 0.45 * rough)
    below = -solid
    taper = jnp.clip(1.0 - below / reach, 0.0, 1.0)
    half = m["sulcus"] * (0.15 + 1.1 * taper) * jnp.maximum(1.0 + 0.6 * rough, 0.15)
    join = jnp.clip(4.0 * arch(q) + 0.6, 0.0, 1.0) * jnp.clip((32.0 - jnp.abs(x)) / 10.0, 0.0, 1.0)
    over = jnp.maximum(below - reach, 0.0) + 12.0 * join
    return jnp.sqrt(sheet * sheet + over * over) - half
