"""Drawn heads for tests: an ellipse of brain in a skull in a scalp."""

import numpy as np


def drawn(
    shape=(256, 256), *, at=(0.0, 0.0), axes=(95.0, 75.0), spacing=(1.0, 1.0), level=30, noise=3
):
    """An ellipse with semi-axes in mm: scalp, 7 mm of skull, brain; `at` mm below and right of the centre."""
    rows, columns = shape
    y = (np.arange(rows)[:, None] - (rows - 1) / 2) * spacing[0] - at[0]
    x = (np.arange(columns)[None] - (columns - 1) / 2) * spacing[1] - at[1]
    hu = np.full(shape, -1000.0)
    for less, value in ((-6, 20.0), (0, 900.0), (7, level)):
        hu[(y / (axes[0] - less)) ** 2 + (x / (axes[1] - less)) ** 2 <= 1] = value
    hu += np.random.default_rng(0).normal(0, noise, shape) * (hu > -900)
    return np.round(hu).astype(np.int16)
