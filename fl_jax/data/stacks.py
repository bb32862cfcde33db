"""Stacks: the slices of a series, ordered towards the head."""

from collections.abc import Iterator

import numpy as np

from fl_jax.data.slices import Slices

SAME = 0.01
"""Positions within this many mm are equal."""


def stacks(slices: Slices) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Orders the slices of each series, those within `SAME` mm of each other by their names.

    Args:
        slices: the dataset; only metadata is read.

    Yields:
        rows int64[n] of one series, from the lowest slice up, and the level int64[n] of each, the same for
        slices at one position.
    """
    if not len(slices):
        return
    names = (slices.series, slices.study, slices.patient)
    order = np.lexsort((slices.image, slices.position, *names))
    other = np.any([name[order][1:] != name[order][:-1] for name in names], axis=0)
    higher = np.diff(slices.position[order]) > SAME
    level = np.concatenate([[0], np.cumsum(other | higher)])
    order = order[np.lexsort((slices.image[order], level))]
    ends = np.flatnonzero(other) + 1
    yield from zip(np.split(order, ends), np.split(level, ends), strict=True)
