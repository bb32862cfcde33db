"""The slices above and below a slice, for models that read three slices as channels.

    input[row] = (slice below, slice, slice above)   in its series, by position along the normal

| case | the missing neighbour is |
|---|---|
| first or last slice of a series | the slice itself |
| a gap: the step exceeds 1.5 x the usual one | the slice itself, on both sides of the gap |
| a series of one slice | the slice itself, twice |
| several slices at one position (within 0.01 mm) | the first by name at the next position |

The usual step is the median of the series or, if larger, the thickness of either slice: a head that is
scanned in thin slices at its base and thick ones above has no gap where the thickness changes.

Reference: Wang et al., "A deep learning algorithm for automatic detection and classification of acute
intracranial hemorrhages in head CT scans", NeuroImage: Clinical 2021, the winner of the RSNA 2019 challenge.
"""

import numpy as np

from fl_jax.data.slices import Slices
from fl_jax.data.stacks import stacks

GAP = 1.5
"""A step above this many usual steps is a gap."""


def neighbours(slices: Slices) -> np.ndarray:
    """Finds each slice's neighbours.

    Args:
        slices: the dataset; only metadata is read.

    Returns:
        int64[N, 3]: the rows of the slice below, the slice itself and the slice above.
    """
    rows_of = np.repeat(np.arange(len(slices)), 3).reshape(-1, 3)
    for rows, level in stacks(slices):
        _in_series(rows, level, slices.position[rows], slices.thickness[rows], rows_of)
    return rows_of


def _in_series(
    rows: np.ndarray,
    level: np.ndarray,
    position: np.ndarray,
    thickness: np.ndarray,
    rows_of: np.ndarray,
) -> None:
    """Fills in the neighbours of one series from its `stacks`."""
    level = level - level[0]
    first = np.unique(level, return_index=True)[1]
    if len(first) < 2:
        return
    step = np.diff(position[first])
    thick = np.fmax(np.nan_to_num(thickness[first[1:]]), np.nan_to_num(thickness[first[:-1]]))
    near = step <= GAP * np.maximum(np.median(step), thick)
    for side, at, other in ((0, 1, 0), (2, 0, 1)):
        chosen = np.full(len(first), -1)
        chosen[at : len(first) - 1 + at] = np.where(near, first[other : len(first) - 1 + other], -1)
        has = chosen[level] >= 0
        rows_of[rows[has], side] = rows[chosen[level][has]]
