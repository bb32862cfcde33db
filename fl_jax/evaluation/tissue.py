"""How much soft tissue and how much bright tissue a slice shows, with no look for a bleed.

    soft   = area of the pixels of 20 to 45 HU in the whole picture
    bright = area of the pixels of 50 to 90 HU inside the skull, see `data.skull`

Both limits belong to the range. Areas are in cm², or in percent of the picture where the size of a pixel is
unknown for any of the slices: one unit for all, so that slices can be compared.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.data.skull import inside_skull
from fl_jax.data.slices import Slices

SOFT_HU, BRIGHT_HU = (20, 45), (50, 90)
CM2, PERCENT = "cm²", "% of the picture"
BLOCK = 64
"""Slices read at once; they stay in the cache."""


class Tissue(NamedTuple):
    """Amounts of tissue in N slices.

    Attributes:
        image: str[N], unique.
        soft: float64[N] >= 0.
        bright: float64[N] >= 0.
        unit: `CM2` or `PERCENT`.
    """

    image: NDArray[np.str_]
    soft: NDArray[np.float64]
    bright: NDArray[np.float64]
    unit: str


def measure(slices: Slices, rows: ArrayLike) -> Tissue:
    """Measures slices int[n] of a dataset; reads each one's pixels once."""
    rows = np.asarray(rows, int)
    counts = np.zeros((2, rows.size))
    for start in range(0, rows.size, BLOCK):
        block = slice(start, start + BLOCK)
        hu = slices.hu(rows[block])
        counts[0, block] = _between(hu, SOFT_HU).sum(axis=(1, 2))
        counts[1, block] = (_between(hu, BRIGHT_HU) & inside_skull(hu)).sum(axis=(1, 2))
    sides = np.full(rows.size, np.nan) if slices.pixel_mm is None else slices.pixel_mm[rows]
    known = not np.isnan(sides).any()
    height, width = slices.image_shape
    soft, bright = counts * (sides**2 / 100 if known else 100 / (height * width))
    return Tissue(slices.image[rows], soft, bright, CM2 if known else PERCENT)


def _between(hu: NDArray, limits: tuple[int, int]) -> NDArray[np.bool_]:
    return (hu >= limits[0]) & (hu <= limits[1])
