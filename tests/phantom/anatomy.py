"""Measures anatomy on one slice of 256 x 256, by the same code on phantom and real heads."""

import numpy as np
from scipy import ndimage

NAMES = ("rim1", "rim2", "deep", "contrast", "bright", "width", "length", "scalp")
"""Of `anatomy`: HU at 1-2 and 2-3 mm under the skull less deep brain; deep brain's median, HU; 85th less 15th
percentile of the smoothed deep brain, HU; cells that are half bright at 40/80; the head's width and length,
mm; area between skull and air, cm2."""


def depth_under_skull(hu: np.ndarray, pixel: float) -> np.ndarray | None:
    """Depth under the inner table (mm) of a slice through the cerebrum; None for another slice."""
    bone = ndimage.binary_closing(hu > 100, iterations=2)
    cavity, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    if not count:
        return None
    sizes = ndimage.sum_labels(np.ones_like(cavity), cavity, np.arange(1, count + 1))
    inside = ndimage.binary_fill_holes(cavity == 1 + np.argmax(sizes))
    depth = ndimage.distance_transform_edt(inside) * pixel
    brain = depth > 5
    # Through the cerebrum the cavity is large, round and without bone or air of the base.
    if brain.sum() * pixel**2 < 7000 or (np.abs(hu[brain] - 30) > 120).mean() > 0.005:
        return None
    return depth


def anatomy(hu: np.ndarray, pixel: float) -> tuple[float, ...] | None:
    """The figures `NAMES` of a slice (HU, pixel in mm); None unless it goes through the cerebrum."""
    hu = hu.astype(float)
    depth = depth_under_skull(hu, pixel)
    if depth is None:
        return None
    brain = np.median(hu[depth > 15])
    smooth = ndimage.gaussian_filter(hu, 1.5 / pixel)[depth > 15]
    rims = [np.median(hu[(depth > a) & (depth <= a + 1)]) - brain for a in (1, 2)]
    width, length, scalp = size(hu, pixel)
    contrast = np.subtract(*np.percentile(smooth, (85, 15)))
    return (*rims, brain, contrast, bright_cells(hu, depth), width, length, scalp)


def bright_cells(hu: np.ndarray, depth: np.ndarray) -> int:
    """Cells of 8 x 8 pixels, 2 mm and more under the skull, half of which are above 40 HU."""
    cells = (32, 8, 32, 8)
    inside = (depth > 2).reshape(cells)
    share = (inside & (hu.reshape(cells) > 40)).mean((1, 3))
    return int(((inside.mean((1, 3)) > 0.75) & (share > 0.5)).sum())


def size(hu: np.ndarray, pixel: float) -> tuple[float, float, float]:
    """Width and length (mm) of the head along its axes, and the scalp's area (cm2)."""
    head, count = ndimage.label(ndimage.binary_opening(hu > -250, iterations=2))
    sizes = ndimage.sum_labels(np.ones_like(head), head, np.arange(1, count + 1))
    head = ndimage.binary_fill_holes(head == 1 + np.argmax(sizes))
    skull = ndimage.binary_fill_holes(ndimage.binary_closing((hu > 150) & head, iterations=2))
    at = np.argwhere(head) * pixel
    at = at - at.mean(0)
    _, _, axes = np.linalg.svd(at, full_matrices=False)
    length, width = (np.ptp(at @ axis) for axis in axes)
    return float(width), float(length), float((head & ~skull).sum() * pixel**2 / 100)
