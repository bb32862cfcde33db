"""Draws the head holder: shell, side plates, table top or foam block, with an air gap to the skin.

The holder is constant along z, so all slices of a series show one outline, cut by the reconstruction circle.
Carbon fibre and plastics have -150 to 200 HU in shells of 2-4 mm, foam -970 to -930 HU, measured on public
head CT.
"""

import numpy as np

from fl_jax.files.extras import extra
from fl_jax.phantom.scanner.geometry import Geometry

with extra("ct"):
    import cv2

STYLES = ("cup", "plates", "table", "foam")


def draw_holder(
    heads: np.ndarray, geometry: Geometry, style: str, rng: np.random.Generator
) -> np.ndarray:
    """The holder around heads float32[n, h, w] in HU: float32[M, M], HU, -1000 elsewhere.

    Combine it with the head by the maximum. `style` is one of `STYLES`.
    """
    if style not in STYLES:
        raise ValueError(f"holder={style!r}: choose from {STYLES}")
    matrix = geometry.matrix
    axis = (np.arange(matrix, dtype=np.float32) - (matrix - 1) / 2) * geometry.spacing
    back, side = _extent(heads, geometry)
    x, y = axis[None, :] - rng.normal(0, 3), axis[:, None]
    draw = {"cup": _cup, "plates": _plates, "table": _table, "foam": _foam}[style]
    return np.maximum(draw(x, y, back, side, rng), -1000.0).astype(np.float32)


def _extent(heads: np.ndarray, geometry: Geometry) -> tuple[float, float]:
    """Posterior extent of the head and its half width, mm from the image's centre."""
    shadow = heads.max(0) > -400
    pixel = geometry.field_of_view / heads.shape[-1]
    centre = (heads.shape[-1] - 1) / 2
    rows, columns = np.flatnonzero(shadow.any(1)), np.flatnonzero(shadow.any(0))
    if not rows.size:
        return 0.35 * geometry.field_of_view, 0.3 * geometry.field_of_view
    return (rows[-1] - centre) * pixel, np.abs(columns - centre).max() * pixel


def _shell(distance: np.ndarray, thick: float, hu: float) -> np.ndarray:
    """HU of a wall `thick` mm thick around distance 0, with edges 1 mm soft."""
    cover = np.clip((thick / 2 - np.abs(distance)) / 1.0 + 0.5, 0, 1)
    return -1000 + (hu + 1000) * cover


def _cup(x, y, back: float, side: float, rng: np.random.Generator) -> np.ndarray:
    """A trough under the head with a foam lining."""
    half, gap = side + rng.uniform(8, 18), rng.uniform(3, 9)
    deep = half * rng.uniform(0.85, 1.05)
    centre = back + gap - deep
    r = np.sqrt((x / half) ** 2 + (np.maximum(y - centre, 0) / deep) ** 2)
    distance = (r - 1) * min(half, deep)
    rim = centre - rng.uniform(-10, 30)
    wall = _shell(distance, rng.uniform(2.0, 3.6), rng.uniform(-150, 180))
    outer = _shell(distance - rng.uniform(9, 14), 1.6, rng.uniform(-500, -100))
    foam = np.where((distance < 0) & (distance > -gap - 4), rng.uniform(-975, -945), -1000.0)
    return np.where(y > rim, np.maximum(np.maximum(wall, outer), foam), -1000.0)


def _plates(x, y, back: float, side: float, rng: np.random.Generator) -> np.ndarray:
    """Two upright plates with cushions at the sides, and a soft mat."""
    half = side + rng.uniform(8, 16)
    low, high = back - rng.uniform(15, 30), back - rng.uniform(95, 130)
    bend = np.maximum(y - (low - 35), 0) ** 2 / 130
    plate = _shell(np.abs(x) - (half - bend), 2.6, rng.uniform(80, 260))
    plate = np.where((y < low) & (y > high), plate, -1000.0)
    cushion = np.hypot((np.abs(x) - half + 16) / 11, (y - low + 35) / 38) - 1
    liner = _shell(cushion * 11, 1.0, -820.0)
    mat = _shell(y - back - 4 + (x / 90) ** 2 * 14, 3.0, rng.uniform(-930, -860))
    mat = np.where(np.abs(x) < half - 22, mat, -1000.0)
    return np.maximum(np.maximum(plate, liner), mat)


def _table(x, y, back: float, side: float, rng: np.random.Generator) -> np.ndarray:
    """A curved table top, two skins with a light core, and a pillow."""
    radius, gap, core = rng.uniform(170, 320), rng.uniform(6, 18), rng.uniform(14, 26)
    surface = y - (back + gap) + (radius - np.sqrt(np.maximum(radius**2 - x**2, 0))) * 0.8
    skins = np.maximum(
        _shell(surface, 2.0, rng.uniform(-250, 60)),
        _shell(surface - core, 2.0, rng.uniform(-300, 0)),
    )
    filling = np.where((surface > 0) & (surface < core), rng.uniform(-965, -900), -1000.0)
    pillow = np.where((surface < 0) & (surface > -gap), rng.uniform(-985, -955), -1000.0)
    wave = cv2.GaussianBlur(rng.standard_normal(surface.shape).astype(np.float32), (0, 0), 6)
    return np.maximum(np.maximum(skins, filling), pillow + 150 * wave * (pillow > -1000))


def _foam(x, y, back: float, side: float, rng: np.random.Generator) -> np.ndarray:
    """A foam block with a hollow for the head, on a flat table top."""
    half, under = side + rng.uniform(5, 25), back + rng.uniform(8, 25)
    height = under - back + rng.uniform(20, 70)
    block = np.maximum(np.abs(x) - half, np.maximum(under - height - y, y - under))
    hollow = 1 - np.hypot(x / (side + 4), (y - back + 70) / 74)
    body = np.where(np.maximum(block, hollow * 70) < 0, rng.uniform(-975, -900), -1000.0)
    cover = _shell(np.maximum(block, hollow * 70), 1.2, rng.uniform(-900, -600))
    return np.maximum(np.maximum(body, cover), _shell(y - under - 3, 2.5, rng.uniform(-250, 100)))


def draw_strap(head: np.ndarray, geometry: Geometry, hu: float) -> np.ndarray:
    """A strap 2 mm thick, 2 mm in front of the skin: float32[M, M], HU, -1000 elsewhere.

    `head` is the slice, float32[M, M], HU.
    """
    air = (cv2.GaussianBlur(head, (0, 0), 1.5) < -400).astype(np.uint8)
    away = cv2.distanceTransform(air, cv2.DIST_L2, 5) * geometry.spacing
    rows = np.flatnonzero((air == 0).any(1))
    if not rows.size:
        return np.full_like(head, -1000.0)
    front = np.arange(len(head))[:, None] < rows[0] + 0.45 * np.ptp(rows)
    return np.where(front, _shell(away - 3.0, 2.0, hu), -1000.0).astype(np.float32)
