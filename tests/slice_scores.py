"""Predictions of a model that was never trained, on patients whose slices resemble each other."""

import numpy as np
from scipy import special

from fl_jax.core.types import LABELS
from fl_jax.evaluation.predictions import Predictions


def cohort(
    patients: int = 40, slices: int = 8, *, seed: int = 0, shift: float = 1.5, split: str = "test"
) -> Predictions:
    """Two sites; the same seed gives the same truth and noise, whatever the shift."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), slices)
    truth = (rng.random((patient.size, len(LABELS))) < 0.25).astype(np.uint8)
    effect = rng.normal(size=(patients, 1))[patient]
    logits = shift * truth - 1 + effect + rng.normal(size=truth.shape)
    return Predictions(
        np.array([f"ID_{i}" for i in range(patient.size)]),
        np.array([f"p{i:03d}" for i in patient]),
        np.array([f"site_{i % 2}" for i in patient]),
        np.full(patient.size, split),
        truth,
        special.expit(logits),
    )
