"""Draws a patient on a grid, in jitted pure functions over slabs of points of one fixed size.

Two cheap distances sort the points into air, vault, base and brain. Each kind runs through its own kernel,
`SLAB` points per call, so nothing recompiles between grids and intermediates stay in the cache. Equal
patients and grids give equal bytes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.phantom.drawing import (
    brain,
    foreign_bodies,
    hemorrhage,
    shapes,
    skull,
    skull_base,
    tissue,
)
from fl_jax.phantom.drawing.grid import Drawing, Grid
from fl_jax.phantom.drawing.pack import pack
from fl_jax.phantom.drawing.skull import Model
from fl_jax.phantom.patient.parameters import PatientParams
from fl_jax.phantom.patient.sampling import sample_patient

SLAB = 16384
"""Points per kernel call."""
BASE_TOP = -2.0
"""Height (canonical mm) above which the wall is vault only."""
RIM = 0.7
"""Half width (mm) of the seam that blends cavity and wall."""


def draw_head(patient: PatientParams, grid: Grid) -> Drawing:
    """Draws a patient on D x H x W sampling points; raises ValueError as `pack` does."""
    m = {name: jnp.asarray(value) for name, value in pack(patient).items()}
    points = grid.points()
    near = np.flatnonzero(_near(grid, m))
    lesions = np.zeros((5, points.shape[1]), np.uint8)
    p = points.take(near, axis=1)
    wall, skin, height = _over_slabs(_sort, p, m)
    hu = np.full(p.shape[1], -1000.0, np.float32)
    solid = (wall > -RIM) & (skin < 0.8)
    for kernel, where in (
        (_base, solid & (height < BASE_TOP)),
        (_vault, solid & (height >= BASE_TOP)),
    ):
        rows = np.flatnonzero(where)
        if rows.size:
            (hu[rows],) = _over_slabs(kernel, p.take(rows, axis=1), m)
    rows = np.flatnonzero(wall < RIM)
    if rows.size:
        inner, bled = _over_slabs(_brain, p.take(rows, axis=1), m)
        cover = np.clip(0.5 - wall[rows] / (2.0 * RIM), 0.0, 1.0)
        hu[rows] += (inner - hu[rows]) * cover
        for kind in np.flatnonzero(bled.any(1)):
            lesions[kind, near[rows]] = bled[kind] * (wall[rows] < 0.0)
    hu = _spread(hu, near, -1000.0, grid.shape)
    metal = None
    if patient.rods:
        hidden, dense = _over_slabs(_rods, points, m)
        hu = np.maximum(hu, hidden.reshape(grid.shape))
        metal = dense.reshape(grid.shape)
    inside = _spread(wall < 0.0, near, False, grid.shape)
    return Drawing(hu, lesions.reshape(5, *grid.shape), inside, metal)


def _spread(
    values: np.ndarray, where: np.ndarray, elsewhere: float, shape: tuple[int, ...]
) -> np.ndarray:
    out = np.full(shape, elsewhere, values.dtype)
    out.ravel()[where] = values
    return out


def compile_drawing() -> None:
    """Compiles all kernels, or loads them from JAX's compilation cache, so that later calls need not."""
    numbers = sample_patient(np.random.default_rng(0), age=50.0)
    m = {name: jnp.asarray(value) for name, value in pack(numbers).items()}
    for kernel in (_sort, _base, _vault, _brain, _rods):
        _over_slabs(kernel, np.zeros((3, 1), np.float32), m)


def _near(grid: Grid, m: Model) -> np.ndarray:
    """bool[D*H*W], a superset of the head, from every fourth point of a plane plus a margin."""
    d, h, w = grid.shape
    coarse = (d, -(-h // 4), -(-w // 4))
    middle = np.asarray(grid.origin) + 1.5 * (np.asarray(grid.step_y) + np.asarray(grid.step_x))
    wide = Grid(middle, grid.step_z, 4 * grid.step_y, 4 * grid.step_x, coarse, grid.samples)
    _, skin, _ = _over_slabs(_sort, wide.points(), m)
    margin = 5.0 + 2.5 * float(np.linalg.norm(grid.step_y) + np.linalg.norm(grid.step_x))
    near = (skin < margin).reshape(coarse)
    return near.repeat(4, axis=1).repeat(4, axis=2)[:, :h, :w].ravel()


def _over_slabs(kernel: Callable, points: np.ndarray, m: Model) -> list[np.ndarray]:
    """Runs a kernel slab by slab; distant points pad the last slab."""
    count = points.shape[1]
    padded = np.full((3, -(-count // SLAB) * SLAB), 400.0, np.float32)
    padded[:, :count] = points
    slabs = [kernel(padded[:, s : s + SLAB], m) for s in range(0, padded.shape[1], SLAB)]
    return [
        np.concatenate([np.asarray(a) for a in parts], axis=-1)[..., :count]
        for parts in zip(*slabs, strict=True)
    ]


@jax.jit
def _sort(p: jax.Array, m: Model) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Distance (mm) of each point to the cavity and to the skin, and its height (mm)."""
    c = skull.canonical(p, m)
    return skull.cavity(c, m), skull.head(c, m), c[2]


@jax.jit
def _rods(p: jax.Array, m: Model) -> tuple[jax.Array, jax.Array]:
    """See `foreign_bodies.foreign`."""
    return foreign_bodies.foreign(skull.canonical(p, m), m)


@jax.jit
def _vault(p: jax.Array, m: Model) -> tuple[jax.Array]:
    return (skull.draw_vault(p, m),)


@jax.jit
def _base(p: jax.Array, m: Model) -> tuple[jax.Array]:
    return (skull_base.draw_base(p, m),)


@jax.jit
def _brain(p: jax.Array, m: Model) -> tuple[jax.Array, jax.Array]:
    """HU inside the cavity, and each subtype's blood, uint8[5, N]."""
    c = skull.canonical(p, m)
    wall = skull.cavity(c, m)
    fine = shapes.noise(c, m["fine_waves"], m["fine_mix"])
    (rough,) = shapes.noise(c, m["rough_waves"], m["rough_mix"])
    thick = hemorrhage.thicknesses(c, m, rough)
    fill = hemorrhage.sulcal_fill(c, m)
    b = brain.parts(hemorrhage.push(c, -skull.convexity(c, m), thick, m), m, wall, fill, rough)
    hu = tissue.dura(b, m, tissue.tissue(b, m, fine[0]))
    hu = hemorrhage.incidental(hu, b, c, m, rough, fine[1])
    hu, cover = hemorrhage.bleed(hu, b, c, thick, m, fill, rough, fine[1])
    return hu + tissue.glow(wall, m), (cover > 0.4).astype(jnp.uint8)
