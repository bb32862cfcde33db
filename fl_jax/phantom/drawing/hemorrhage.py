"""Paints bleeding: where blood lies, what it displaces, and how dense it is.

    epidural: depth < T0 (1 - rho^2)    subdural: depth < T0 sqrt(1 - rho^4)    rho along the skull
    clot: |R (p - c) / r| + roughness < 1    tissue at p came from p - push(p), push ~ rho^-1.15

Subarachnoid and ventricular blood replaces fluid, so it follows the fluid's shapes. Blood: 50-85 HU acute,
30-45 HU after one to three weeks, 10-25 HU later (Osborn's Brain, 2nd ed., ch. 2; New & Aronow, Radiology
1976;121:635-640).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fl_jax.phantom.drawing import brain, skull
from fl_jax.phantom.drawing.brain import Parts
from fl_jax.phantom.drawing.shapes import Point, bump, inside, paint, step
from fl_jax.phantom.drawing.skull import Model
from fl_jax.phantom.patient.parameters import EXTRA


def extra_thickness(c: Point, row: jax.Array, rough: jax.Array) -> jax.Array:
    """Thickness, float32[N], mm, >= 0, of a collection on the skull over each point.

    `row` is one row of `extra` (see `pack.extra_row`), `rough` a smooth random field, float32[N].
    """
    u = (c[0] / 69.5, (c[1] + 18.0) / 89.0, (c[2] - 5.0) / 66.0)
    k = jnp.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2] + 1e-3)
    u = [a / k for a in u]
    front = u[0] * row[0] + u[1] * row[1] + u[2] * row[2]
    along = (u[0] * row[3] + u[1] * row[4] + u[2] * row[5]) / row[9]
    up = (u[0] * row[6] + u[1] * row[7] + u[2] * row[8]) / row[10]
    s = along * along + up * up + 0.10 * rough * row[19]
    lens = jnp.maximum(1.0 - s, 0.0)
    crescent = jnp.sqrt(jnp.maximum(1.0 - s * s, 0.0) + 1e-6) - 1e-3
    t = row[11] * jnp.where(row[12] > 0.5, crescent, lens)
    t = (
        t
        * step((c[1] - row[13]) / (5.0 + 0.4 * row[11]))
        * step((row[14] - c[1]) / (5.0 + 0.4 * row[11]))
    )
    midline = step((c[0] * row[18] - 1.0) / 7.0)
    t = t * jnp.where(row[12] > 0.5, midline * (1.0 + 0.12 * rough), 1.0)
    return t * (front > 0.0)


def over(count: jax.Array, rows: jax.Array, body: Callable, start: Any) -> Any:
    """Folds `body(row, carry)` over the first `count` rows; empty slots are free."""
    return jax.lax.fori_loop(0, count, lambda i, carry: body(rows[i], carry), start)


def thicknesses(c: Point, m: Model, rough: jax.Array) -> jax.Array:
    """Thickness (mm) of each collection on the skull, float32[EXTRA, N], see `extra_thickness`."""
    start = jnp.zeros((EXTRA, c[0].shape[0]))

    def fill(i: jax.Array, t: jax.Array) -> jax.Array:
        return t.at[i].set(extra_thickness(c, m["extra"][i], rough))

    return jax.lax.fori_loop(0, m["extra_count"], fill, start)


def push(c: Point, depth: jax.Array, thick: jax.Array, m: Model) -> Point:
    """Undoes the mass effect: where the tissue at c was before the bleeding, mm.

    Args:
        c: canonical coordinates, mm.
        depth: depth below the inner table, mm.
        thick: float32[EXTRA, N], thickness of the collections on the skull, mm.
        m: the patient.
    """
    u = (c[0] / 69.5**2, (c[1] + 18.0) / 89.0**2, (c[2] - 5.0) / 66.0**2)
    k = jnp.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2] + 1e-9)
    anchored = 1.0 - 1.0 / (1.0 + (jnp.maximum(depth, 0.0) / 14.0) ** 2)

    def inwards(i: jax.Array, move: Point) -> Point:
        row, t = m["extra"][i], thick[i]
        near = row[17] * t / (1.0 + (jnp.maximum(depth - t, 0.0) / 26.0) ** 2)
        far = [(a - s) / 70.0 for a, s in zip(c, row[20:23], strict=True)]
        deep = 0.8 * row[17] * row[11] * anchored * bump(*far)
        x, y, z = (v + near * a / k + deep * r for v, a, r in zip(move, u, row[0:3], strict=True))
        return x, y, z

    def apart(row: jax.Array, move: Point) -> Point:
        v, rho, size = _local(c, row)
        reach = jnp.where(rho < 1.0, rho, 1.0 / jnp.maximum(rho, 1.0) ** 1.15)
        scale = row[12] * size * reach * anchored
        length = jnp.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + 1e-2)
        x, y, z = (s - scale * a / length for s, a in zip(move, v, strict=True))
        return x, y, z

    still = (jnp.zeros_like(depth),) * 3
    move = jax.lax.fori_loop(0, m["extra_count"], inwards, still)
    move = over(m["clots_count"], m["clots"], apart, move)
    move = over(m["spots_count"], m["spots"], apart, move)
    return (c[0] + move[0], c[1] + move[1], c[2] + move[2])


def _local(c: Point, row: jax.Array) -> tuple[Point, jax.Array, jax.Array]:
    """Offset from a clot's centre (mm), distance in radii, and mean radius (mm)."""
    v = (c[0] - row[0], c[1] - row[1], c[2] - row[2])
    u = (
        (v[0] * row[6] + v[1] * row[7]) / row[3],
        (v[1] * row[6] - v[0] * row[7]) / row[4],
        v[2] / row[5],
    )
    rho = jnp.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2] + 1e-4)
    return v, rho, jnp.sqrt(row[4] * row[3])


def clot_distance(c: Point, row: jax.Array, coarse: jax.Array, fine: jax.Array) -> jax.Array:
    """Distance (mm) to a clot with an irregular surface."""
    _, rho, size = _local(c, row)
    return (rho - 1.0 + row[13] * (0.28 * coarse + 0.16 * fine)) * size


def edema(c: Point, row: jax.Array, coarse: jax.Array) -> jax.Array:
    """Coverage of a clot's dark rim, which is smoother than the clot."""
    d = clot_distance(c, row, coarse, jnp.zeros_like(coarse))
    return inside(d - row[11], 0.5 * row[11] + 1.0)


def sulcal_fill(c: Point, m: Model) -> jax.Array:
    """Blood in the sulci, in [0, 1], from the patient's patches."""

    def patch(row: jax.Array, fill: jax.Array) -> jax.Array:
        near = bump((c[0] - row[0]) / row[3], (c[1] - row[1]) / row[4], (c[2] - row[2]) / row[5])
        return jnp.maximum(fill, row[6] * jnp.clip(2.2 * near - 0.7, 0.0, 1.0))

    return over(m["patches_count"], m["patches"], patch, jnp.zeros_like(c[0]))


def subarachnoid(b: Parts, m: Model, fill: jax.Array, rough: jax.Array) -> jax.Array:
    """Coverage of subarachnoid blood in cisterns, fissures and sulci."""
    a = m["cisterns"]
    x, y, z = b.point
    low = bump(x / 30.0, (y + 6.0) / 30.0, (z + 20.0) / 15.0)
    around = bump(x / 26.0, (y + 30.0) / 22.0, (z + 10.0) / 14.0)
    amount = jnp.maximum(
        a[0] * jnp.clip(2.0 * low, 0.0, 1.0), a[4] * jnp.clip(2.0 * around, 0.0, 1.0)
    )
    near = inside(b.sylvian - 1.5, 3.0)
    amount = jnp.maximum(amount, near * jnp.where(x > 0.0, a[2], a[1]))
    ahead = step((y + 5.0) / 20.0)
    amount = jnp.maximum(amount, a[3] * ahead * inside(b.fissure - 1.0, 2.0))
    amount = jnp.maximum(amount, fill)
    amount = jnp.clip(amount * (1.05 + 0.30 * rough), 0.0, 1.0)
    hollow = jnp.minimum(jnp.minimum(b.lateral, b.third), b.fourth)
    return amount * (1.0 - solid(b)) * (1.0 - inside(hollow - 0.5)) * inside(-b.depth)


def ventricular(b: Parts, c: Point, m: Model, rough: jax.Array) -> jax.Array:
    """Coverage of ventricular blood: posterior levels (the patient is supine) and casts."""
    a = m["ventricles"]
    amount = jnp.where(c[0] > 0.0, a[1], a[0])
    level = -76.0 + 118.0 * amount**1.15
    lateral = inside(b.lateral) * inside(c[1] - level + 3.0 * rough, 4.0) * step(amount / 0.04)
    third = inside(b.third) * jnp.clip(a[2] * (1.4 + 0.5 * rough), 0.0, 1.0)
    fourth = inside(b.fourth) * jnp.clip(a[3] * (1.4 + 0.5 * rough), 0.0, 1.0)
    return jnp.maximum(lateral, jnp.maximum(third, fourth))


def sheet_cover(b: Parts, row: jax.Array, rough: jax.Array, edge: jax.Array) -> jax.Array:
    """Coverage of subdural blood along the falx (row[0] = 0) or on the tentorium (row[0] = 1)."""
    x, y, z = b.point
    side = row[1]
    falx_s = ((y - row[3]) / row[5]) ** 2 + ((z - row[4]) / row[6]) ** 2
    tent_s = ((x - row[2]) / row[5]) ** 2 + ((y - row[3]) / row[6]) ** 2
    s = jnp.where(row[0] > 0.5, tent_s, falx_s)
    t = row[7] * jnp.sqrt(jnp.maximum(1.0 - s * s, 0.0)) * (1.0 + 0.15 * rough)
    off = jnp.where(row[0] > 0.5, b.tent, x * side)
    slab = jnp.abs(off - 0.5 * t) - 0.5 * t
    beyond = jnp.maximum(
        jnp.maximum(2.0 - x * side, brain.ridge(b.point) + 4.0), -brain.notch(b.point)
    )
    allowed = jnp.where(row[0] > 0.5, beyond, 34.0 * brain.arch(b.point))
    return (
        inside(slab, 1.4 * edge)
        * step((t - 0.4) / 0.8)
        * inside(allowed)
        * inside(-b.depth)
        * inside(-b.tent)
    )


def bleed(
    hu: jax.Array,
    b: Parts,
    c: Point,
    thick: jax.Array,
    m: Model,
    fill: jax.Array,
    rough: jax.Array,
    fine: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Paints all blood over the healthy brain.

    Args:
        hu: float32[N], HU without blood.
        b: distances at the displaced points.
        c: canonical coordinates of the points, mm.
        thick: float32[EXTRA, N], mm, see `extra_thickness`.
        m: the patient.
        fill: float32[N], see `sulcal_fill`.
        rough: float32[N], coarse random field.
        fine: float32[N], fine random field.

    Returns:
        HU, and each subtype's coverage, float32[5, N] in [0, 1], in the order of `types.LABELS[1:]`.
    """
    grain = m["blood_grain"] * (2.5 * rough + 1.5 * fine)
    deep = -skull.convexity(c, m)
    sah = subarachnoid(b, m, fill, rough)
    hu = paint(hu, m["cistern_hu"] + 0.6 * grain, sah)
    hu, iph = parenchymal(hu, b, c, m, rough, fine)
    ivh = ventricular(b, c, m, rough)
    hu = paint(hu, m["ventricle_hu"] + grain, ivh)

    def sheet(row: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        here = sheet_cover(b, row, rough, m["blood_edge"])
        return paint(carry[0], row[8] + grain, here), jnp.maximum(carry[1], here)

    hu, sdh = over(m["sheets_count"], m["sheets"], sheet, (hu, jnp.zeros_like(hu)))

    def extra(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        hu, edh, sdh = carry
        row = m["extra"][i]
        here = (
            inside(deep - thick[i], 1.6 * m["blood_edge"])
            * step((thick[i] - 0.4) / 0.8)
            * inside(b.outer)
        )
        hu = paint(hu, extra_hu(c, row, rough, fine) + grain, here)
        return hu, jnp.maximum(edh, here * (1.0 - row[12])), jnp.maximum(sdh, here * row[12])

    hu, edh, sdh = jax.lax.fori_loop(0, m["extra_count"], extra, (hu, jnp.zeros_like(hu), sdh))
    return hu, jnp.stack([edh, iph, ivh, sah, sdh])


def extra_hu(c: Point, row: jax.Array, rough: jax.Array, fine: jax.Array) -> jax.Array:
    """HU of a collection on the skull: homogeneous, or settled with old blood in front."""
    height = 1.1 * (c[1] - row[21]) / 60.0 + 0.22 * rough + 0.08 * fine
    old = jnp.clip(0.5 + (height - 1.3 * (1.0 - 2.0 * row[16])) * 2.0, 0.0, 1.0) * (row[16] > 0.0)
    return paint(row[15] + 0.0 * rough, row[23], old)


def parenchymal(
    hu: jax.Array, b: Parts, c: Point, m: Model, rough: jax.Array, fine: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Paints clots with their dark rims; returns HU and the coverage of blood."""
    hollow = jnp.minimum(jnp.minimum(b.lateral, b.third), b.fourth)
    tissue = solid(b) * (1.0 - inside(hollow))
    grain = m["blood_grain"] * (2.5 * rough + 1.5 * fine)

    def clot(row: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        hu, cover = carry
        d = clot_distance(c, row, rough, fine)
        rim = 0.85 * tissue * edema(c, row, rough)
        hu = paint(hu, jnp.minimum(hu, 20.0 + 2.0 * fine), rim)
        swirl = row[10] * inside(rough + 0.5 * fine + 0.6, 0.8)
        here = tissue * inside(d, 2.6 * m["blood_edge"])
        hu = paint(hu, paint(row[8] + 0.0 * hu, row[9], swirl) + grain, here)
        return hu, jnp.maximum(cover, here)

    return over(m["clots_count"], m["clots"], clot, (hu, jnp.zeros_like(hu)))


def incidental(
    hu: jax.Array, b: Parts, c: Point, m: Model, rough: jax.Array, fine: jax.Array
) -> jax.Array:
    """Paints incidental findings: infarcts, cysts, masses, calcifications (see `mimics`)."""
    tissue = solid(b)

    def spot(row: jax.Array, hu: jax.Array) -> jax.Array:
        d = clot_distance(c, row, rough, fine)
        where = jnp.maximum(tissue, row[14]) * inside(b.outer)
        rim = 0.8 * tissue * edema(c, row, rough) * (row[11] > 0.0)
        hu = paint(hu, jnp.minimum(hu, 20.0 + 2.0 * fine), rim)
        return paint(hu, row[8] * (1.0 + 0.1 * row[13] * fine), row[10] * where * inside(d, row[9]))

    return over(m["spots_count"], m["spots"], spot, hu)


def solid(b: Parts) -> jax.Array:
    """Coverage of brain tissue, ventricles included."""
    return jnp.maximum(jnp.maximum(inside(b.cerebrum), inside(b.cerebellum)), inside(b.stem))
