"""The head below the brain: skull base with petrous bone, air sinuses, orbits, nose, jaw joint, neck.

Painted from background to foreground: fat and muscle, bone, air, and the thin walls between air cells. Globe
24 mm, lens 9 x 4 mm (Gray's Anatomy, 41st ed.); lens 80 HU, vitreous 8-12 HU, orbital fat -95 HU, otic
capsule 1900 HU, cortical bone 900-1600 HU (Som & Curtin, Head and Neck Imaging, 5th ed.).
"""

import jax
import jax.numpy as jnp

from fl_jax.phantom.drawing import shapes, skull
from fl_jax.phantom.drawing.shapes import Point, bump, capsule, ellipsoid, inside, meet, paint
from fl_jax.phantom.drawing.skull import Model

AIR = -990.0


def draw_base(p: jax.Array, m: Model) -> jax.Array:
    """HU, float32[N], of points float32[3, N] (mm) outside the cavity, at and below the skull base."""
    c = skull.canonical(p, m)
    x, y, z = c
    side = (jnp.abs(x), y, z)
    bone, strands, wiggle = shapes.noise(c, m["bone_waves"], m["bone_mix"])
    cells, cells_at = shapes.noise_sheet(c, m["cell_waves"])
    e = skull.cavity(c, m)
    skin = skull.head(c, m)
    wall = skull.wall_hu(c, e, skin, m, bone, strands, wiggle)
    soft = soft_tissue(c, skin, m, strands)
    low = shapes.step((-16.0 - z) / 14.0)
    vaulted = jnp.maximum(1.0 - low, inside(60.0 + y, 40.0) * inside(-44.0 - z, 20.0))
    vaulted = vaulted * (1.0 - inside(skull.convexity(c, m), 3.0))
    hu = soft + (wall - soft) * vaulted
    hu = paint(hu, 1150.0 + 250.0 * bone, base_bone(side, c, e, m, cells_at))
    hu = orbit(side, hu, m)
    hu = airways(side, c, hu, m, cells, cells_at)
    hu = temporal_air(side, hu, m, cells_at)
    return paint(hu, -1000.0, inside(-skin, 1.4))


def soft_tissue(c: Point, skin: jax.Array, m: Model, strands: jax.Array) -> jax.Array:
    """HU of face and neck: muscles in fat, subcutaneous fat, skin."""
    depth = -skin
    belly = muscles((jnp.abs(c[0]), c[1], c[2]), m)
    _, sheet = shapes.noise_sheet(c, m["muscle_waves"])
    loose = jnp.where(c[1] > 20.0, 3.0, 1.1) + 0.8 * m["fatness"] - sheet
    hu = paint(-92.0 + 10.0 * strands, 50.0 + 4.0 * strands, inside(jnp.minimum(loose, belly), 1.8))
    hu = paint(hu, 57.0 + 3.0 * strands, inside(belly, 1.6))
    layer = 2.5 + 4.5 * m["fatness"] + 1.5 * strands
    hu = paint(hu, -100.0, inside(depth - layer, 2.0))
    return paint(hu, 48.0, inside(depth - 2.4, 1.3))


def muscles(side: Point, m: Model) -> jax.Array:
    """Distance (mm) to the muscles of mastication, neck muscles and parotid."""
    bellies = (
        ((60.0, 10.0, -78.0), (6.0, 15.0, 24.0)),
        ((56.0, 20.0, -42.0), (6.0, 18.0, 26.0)),
        ((36.0, 5.0, -58.0), (13.0, 12.0, 8.0)),
        ((36.0, 4.0, -82.0), (6.5, 13.0, 17.0)),
        ((61.0, -48.0, -88.0), (6.0, 14.0, 30.0)),
        ((44.0, -66.0, -84.0), (9.0, 19.0, 18.0)),
        ((33.0, -84.0, -80.0), (16.0, 7.0, 22.0)),
        ((14.0, -88.0, -82.0), (12.5, 9.0, 24.0)),
        ((17.0, -71.0, -84.0), (14.0, 7.0, 13.0)),
        ((17.0, -100.0, -84.0), (19.0, 3.6, 30.0)),
        ((10.0, -15.0, -84.0), (8.5, 5.5, 20.0)),
        ((58.0, -16.0, -82.0), (9.0, 11.0, 18.0)),
    )
    d = ellipsoid(side, *bellies[0])
    for centre, radii in bellies[1:]:
        d = jnp.minimum(d, ellipsoid(side, centre, radii))
    return d


def base_bone(side: Point, c: Point, e: jax.Array, m: Model, cells: jax.Array) -> jax.Array:
    """Coverage of bone at the skull base and in the face."""
    ax, y, z = side
    shell = e - (
        1.7 + 1.2 * bump((y + 70.0) / 50.0) + 0.3 * m["skull"] * bump(ax / 20.0, (y + 95.0) / 20.0)
    )
    d = jnp.maximum(shell, -100.0 - z + 0.0)
    d = jnp.maximum(d, z + 8.0)
    d = jnp.minimum(d, jnp.maximum(skull.petrous(c), jnp.maximum(-58.0 - z, ax - 58.0)))
    d = jnp.minimum(d, ellipsoid(side, (0.0, -14.0, -42.0), (14.0, 11.0, 22.0)))
    d = jnp.minimum(d, capsule(side, (0.0, -14.0, -44.0), (0.0, -25.0, -66.0), 8.0, 5.0))
    d = jnp.minimum(d, ellipsoid(side, (0.0, 11.0, -38.0), (16.0, 16.0, 13.0)))
    d = jnp.minimum(d, ellipsoid(side, (55.0, -36.0, -48.0), (12.0, 15.0, 19.0)))
    d = jnp.minimum(d, ellipsoid(side, (19.0, -33.0, -70.0), (7.0, 12.0, 7.0)))
    wing = capsule(side, (16.0, 10.0, -38.0), (48.0, 32.0, -34.0), 5.0, 4.0)
    d = jnp.minimum(d, jnp.maximum(wing, -50.0 - z))
    frontal = jnp.maximum(
        e - 3.0 - 10.0 * bump(ax / 24.0, (z + 22.0) / 14.0), jnp.maximum(-26.0 - z, 60.0 - y)
    )
    d = jnp.minimum(d, frontal)
    d = jnp.minimum(d, cheek(side))
    d = jnp.minimum(d, neck_bone(side))
    cone = _cone(side)
    thin = 0.55 + 0.6 * jnp.clip((ax - 24.0) / 12.0, 0.0, 1.0)
    wall = jnp.maximum(jnp.abs(cone - thin) - thin, y - 60.0 - 0.3 * (30.0 - ax))
    carotid = capsule(side, (26.0, -19.0, -70.0), (25.0, -17.0, -42.0), 3.0, 2.8)
    carotid = jnp.minimum(
        carotid, capsule(side, (25.0, -17.0, -42.0), (13.0, -10.0, -34.0), 2.8, 2.6)
    )
    jugular = capsule(side, (26.0, -30.0, -70.0), (31.0, -38.0, -50.0), 5.0, 4.0)
    return jnp.maximum(inside(d), inside(wall)) * (1.0 - inside(jnp.minimum(carotid, jugular)))


def cheek(side: Point) -> jax.Array:
    """Distance (mm) to zygomatic arch, maxillary walls, pterygoids, palate, teeth, mandible."""
    z = side[2]
    arch = capsule(side, (47.0, 50.0, -52.0), (62.0, 30.0, -55.0), 5.0, 2.8)
    arch = jnp.minimum(arch, capsule(side, (62.0, 30.0, -55.0), (67.0, 6.0, -54.0), 2.6, 2.4))
    arch = jnp.minimum(arch, capsule(side, (67.0, 6.0, -54.0), (61.0, -12.0, -50.0), 2.4, 4.0))
    rim = capsule(side, (47.0, 50.0, -52.0), (48.0, 50.0, -22.0), 4.5, 4.0)
    wall = jnp.abs(_antrum(side) - 0.9) - 0.9
    ramus = capsule(side, (51.0, -7.0, -55.0), (49.0, 2.0, -72.0), 4.6, 3.6)
    plate = capsule(side, (49.0, 2.0, -72.0), (46.0, 10.0, -110.0), 4.2, 4.2)
    coronoid = capsule(side, (50.0, 20.0, -62.0), (48.0, 12.0, -90.0), 1.8, 4.0)
    pterygoid = jnp.minimum(
        capsule(side, (11.0, 14.0, -52.0), (12.0, 5.0, -78.0), 1.7, 1.4),
        capsule(side, (14.0, 14.0, -52.0), (20.0, 2.0, -78.0), 1.7, 1.2),
    )
    palate = jnp.maximum(
        jnp.abs(z + 87.0) - 2.5, ellipsoid(side, (0.0, 48.0, -87.0), (25.0, 30.0, 10.0))
    )
    tooth = jnp.abs(ellipsoid(side, (0.0, 40.0, -98.0), (26.0, 36.0, 40.0))) - 4.5
    tooth = jnp.maximum(jnp.maximum(tooth, 30.0 - side[1]), jnp.maximum(z + 86.0, -112.0 - z))
    styloid = capsule(side, (38.0, -24.0, -58.0), (34.0, -14.0, -84.0), 1.6, 1.0)
    parts = (rim, wall, ramus, plate, coronoid, pterygoid, palate, tooth, styloid)
    for part in parts:
        arch = jnp.minimum(arch, part)
    return arch


def neck_bone(side: Point) -> jax.Array:
    """Distance (mm) to atlas and dens."""
    ax, y, z = side
    r = jnp.sqrt((ax / 1.25) ** 2 + (y + 44.0) ** 2 + 1e-3)
    ring = jnp.maximum(jnp.abs(r - 20.0) - 3.2, jnp.abs(z + 84.0) - 5.0)
    mass = ellipsoid(side, (23.0, -35.0, -82.0), (8.0, 9.0, 9.0))
    dens = capsule(side, (0.0, -28.0, -76.0), (0.0, -31.0, -120.0), 4.8, 7.0)
    return jnp.minimum(jnp.minimum(ring, mass), dens)


def _cone(side: Point) -> jax.Array:
    """Distance (mm) to the orbit, a cone with its apex at the back."""
    return capsule(side, (13.0, 20.0, -29.0), (31.0, 56.0, -36.0), 2.0, 18.6)


def _antrum(side: Point) -> jax.Array:
    """Distance (mm) to the maxillary sinus."""
    top = ellipsoid(side, (29.0, 42.0, -64.0), (14.0, 18.0, 17.0))
    return meet(top, 14.5 - side[0], 3.0)


def orbit(side: Point, hu: jax.Array, m: Model) -> jax.Array:
    """Paints fat, muscles, optic nerve and globe into the orbit."""
    y = side[1]
    hu = paint(hu, -95.0, inside(jnp.maximum(_cone(side), y - 66.0)))
    for a, b in (
        ((14.0, 24.0, -31.0), (19.5, 58.0, -36.0)),
        ((16.0, 24.0, -31.0), (43.5, 57.0, -36.0)),
        ((14.0, 24.0, -28.0), (31.0, 58.0, -23.5)),
        ((14.0, 24.0, -34.0), (31.0, 58.0, -48.5)),
    ):
        hu = paint(hu, 50.0, inside(capsule(side, a, b, 1.6, 1.9)))
    hu = paint(hu, 36.0, inside(capsule(side, (13.0, 22.0, -29.0), (31.0, 53.0, -36.5), 1.9, 2.2)))
    globe = ellipsoid(side, (32.0, m["globe_y"], -36.5), (12.3, 12.3, 12.3))
    hu = paint(hu, 52.0, inside(globe))
    hu = paint(hu, 9.0, inside(globe + 1.5))
    lens = ellipsoid(side, (32.0, m["globe_y"] + 7.8, -36.5), (4.6, 2.3, 4.6))
    hu = paint(hu, 85.0, inside(lens))
    lid = jnp.maximum(jnp.abs(globe - 2.2) - 1.8, m["globe_y"] + 3.0 - y)
    return paint(hu, 45.0, inside(lid))


def airways(
    side: Point, c: Point, hu: jax.Array, m: Model, cells: jax.Array, at: jax.Array
) -> jax.Array:
    """Paints sphenoid, ethmoid, frontal and maxillary air, nasal cavity and pharynx."""
    ax, y, z = side
    sphenoid = ellipsoid(side, (6.5, 12.0, -39.5), (9.0, 12.0, 9.5)) + m["sphenoid_wall"]
    septum = jnp.abs(c[0] - m["septum"] * (1.0 + 0.05 * (y - 11.0))) - 0.6
    hu = paint(hu, AIR, inside(jnp.maximum(sphenoid, -septum)))
    labyrinth = meet(ax - 13.0 + 0.07 * (y - 40.0), jnp.abs(y - 43.0) - 20.0, 8.0)
    labyrinth = meet(labyrinth, jnp.abs(z + 41.0) - 12.0, 6.0)
    ethmoid = meet(labyrinth, 0.8 - at, 1.0)
    hu = paint(hu, 180.0, inside(labyrinth - 0.6))
    hu = paint(hu, AIR, inside(ethmoid))
    frontal = (
        ellipsoid(side, (9.0, 71.5 + m["frontal_y"], -14.0), (13.0, 5.0, 14.0)) + m["frontal_wall"]
    )
    hu = paint(hu, AIR, inside(jnp.maximum(frontal, -jnp.abs(c[0] + 2.0) + 0.8)))
    antrum = _antrum(side)
    mucosa = m["mucosa"] * (1.0 + 0.5 * cells)
    fluid = jnp.where(y < m["sinus_fluid"], 25.0, AIR)
    hu = paint(hu, 35.0, inside(antrum))
    hu = paint(hu, fluid, inside(antrum + jnp.maximum(mucosa, 0.8)))
    return nose(side, c, hu, m)


def nose(side: Point, c: Point, hu: jax.Array, m: Model) -> jax.Array:
    """Paints the nasal cavity with septum and turbinates, and the pharynx."""
    ax, y, z = side
    hollow = jnp.maximum(jnp.maximum(ax - 13.0, jnp.abs(y - 46.0) - 30.0), jnp.abs(z + 66.0) - 17.0)
    hu = paint(hu, 42.0, inside(hollow - 1.2))
    hu = paint(hu, AIR, inside(hollow))
    for height, reach in ((-72.0, 5.4), (-58.0, 4.2)):
        conch = ellipsoid(side, (8.4, 44.0, height), (reach * 0.72, 21.0, reach))
        hu = paint(hu, 48.0, inside(conch))
        hu = paint(hu, 300.0, inside(jnp.abs(conch + 1.9) - 0.5))
    bent = c[0] - m["septum"] * 0.7 * bump((y - 46.0) / 18.0)
    hu = paint(hu, 60.0, inside(jnp.maximum(jnp.abs(bent) - 1.7, hollow - 1.0)))
    hu = paint(hu, 420.0, inside(jnp.maximum(jnp.maximum(jnp.abs(bent) - 0.6, hollow), y - 58.0)))
    nostril = capsule(side, (4.5, 76.0, -68.0), (5.5, 90.0, -76.0), 4.0, 3.5)
    pharynx = ellipsoid(side, (0.0, 4.0, -72.0), (12.0, 8.0, 20.0))
    recess = ellipsoid(side, (14.0, -3.0, -66.0), (6.0, 3.5, 8.0))
    return paint(hu, AIR, inside(jnp.minimum(nostril, jnp.minimum(pharynx, recess))))


def temporal_air(side: Point, hu: jax.Array, m: Model, at: jax.Array) -> jax.Array:
    """Paints ear canal, middle ear, mastoid cells, and the dense otic capsule."""
    otic = ellipsoid(side, (37.0, -28.0, -42.0), (9.0, 5.5, 6.0))
    hu = paint(hu, 1900.0, inside(otic))
    canal = capsule(side, (22.0, -26.0, -38.0), (33.0, -29.0, -40.0), 2.2, 1.8)
    hu = paint(hu, 20.0, inside(canal))
    mastoid = ellipsoid(side, (56.0, -39.0, -46.0), (9.5, 13.0, 18.0)) + m["mastoid_wall"]
    antrum = ellipsoid(side, (49.0, -32.0, -36.0), (5.0, 5.5, 6.0)) + 0.4 * m["mastoid_wall"]
    cell = jnp.minimum(meet(mastoid, 0.75 - at, 0.8), antrum)
    hu = paint(hu, m["mastoid_hu"], inside(cell))
    ear = capsule(side, (51.0, -22.0, -44.0), (84.0, -26.0, -46.0), 3.2, 4.2)
    drum = ellipsoid(side, (46.0, -23.0, -43.0), (3.2, 5.0, 7.0))
    return paint(hu, AIR, inside(jnp.minimum(ear, drum)))
