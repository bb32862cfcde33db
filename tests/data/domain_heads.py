"""Drawn heads of known HU, noise and size, as a dataset."""

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data.slices import Slices

PIXEL = 1.5


def head(brain=33.0, noise=3.0, width=120.0, length=156.0, slices=6, seed=0):
    """A skull of 6 mm around an ellipse of brain; the inside has the width and length, mm."""
    y, x = (np.mgrid[:144, :144] - 71.5) * PIXEL
    inside = (2 * x / width) ** 2 + (2 * y / length) ** 2 < 1
    skull = (2 * x / (width + 12)) ** 2 + (2 * y / (length + 12)) ** 2 < 1
    hu = np.where(inside, brain, np.where(skull, 1000.0, -1000.0))
    hu = hu + np.random.default_rng(seed).normal(0, noise, (slices, 144, 144))
    return hu.round().astype(np.int16)


def scans(*studies):
    """A dataset of these studies, one patient each, slices from the head down."""
    sizes = [len(study) for study in studies]
    patient = np.repeat([f"p{n}" for n in range(len(studies))], sizes)
    return Slices(
        image=np.array([f"i{n}" for n in range(len(patient))]),
        **dict.fromkeys(("patient", "study", "series"), patient),
        site=np.full(len(patient), "a"),
        position=np.concatenate([-5.0 * np.arange(size) for size in sizes]).astype(np.float32),
        labels=np.zeros((len(patient), len(LABELS)), np.int8),
        thickness=np.full(len(patient), 5, np.float32),
        image_shape=(144, 144),
        source=None,
        pixels=np.concatenate(studies),
    )
