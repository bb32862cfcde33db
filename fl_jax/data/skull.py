"""The inside of the skull in axial CT slices, by rays.

    inside = the largest connected region of { not bone, bone on all four sides along the picture's axes }

A point outside a convex outline has no bone on at least one of its four sides, so the scalp is left out,
however close to the skull; the face is open in front or below. Bone is above `BONE` HU and air below `AIR`
HU. Cut low, where the skull base is open, the region is smaller than the brain and may hold other tissue.

| slice | result |
|---|---|
| no bone, or none on some side of every point: air, a table, a neck without jaw | empty |
| several closed regions: cerebellum beside orbits, skull base | the largest |
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BONE, AIR = 200, -200
"""HU. A skull of 4 mm reaches 200 HU also where a pixel of 2 mm averages it with brain."""
_FLAT = np.zeros((3, 3, 3), bool)
_FLAT[1] = ndimage.generate_binary_structure(2, 1)
"""Neighbours along the axes within a slice, not between slices."""


def inside_skull(hu: NDArray) -> NDArray[np.bool_]:
    """Finds the inside of the skull, slice by slice.

    Args:
        hu: [N, H, W] or [H, W] in HU, radiological, with square pixels of at most about 2 mm.

    Returns:
        bool of the same shape; all False in a slice without one.
    """
    if hu.ndim == 2:
        return inside_skull(hu[None])[0]
    if not hu.size:
        return np.zeros(hu.shape, bool)
    bone = hu > BONE
    inside = ~bone & (hu > AIR)
    for axis in (1, 2):
        first, last = bone.argmax(axis), hu.shape[axis] - 1 - np.flip(bone, axis).argmax(axis)
        first, last = (np.expand_dims(ends, axis) for ends in (first, last))
        along = np.arange(hu.shape[axis]).reshape((-1, 1) if axis == 1 else (1, -1))
        inside &= (along > first) & (along < last) & bone.any(axis, keepdims=True)
    regions = np.zeros(hu.shape, np.int32)
    count = int(ndimage.label(inside, _FLAT, output=regions))  # type: ignore[arg-type]
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[0] = 0
    each = sizes[regions]
    largest = each.max(axis=(1, 2), keepdims=True)
    at = (each == largest) & inside
    first = np.where(at, regions, count + 1).min(axis=(1, 2), keepdims=True)  # of equal regions
    return at & (regions == first)
