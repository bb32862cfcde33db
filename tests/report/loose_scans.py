"""Scans without labels, as files of two patients in any order."""

import dataclasses

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data.slices import Slices


def loose(slices: Slices) -> Slices:
    """Eight of the slices, relabelled as two patients with 5 and 3 slices in three series, out of order."""
    return dataclasses.replace(
        slices,
        image=np.array([f"b/{n}" if n < 5 else f"a/{n}" for n in range(8)]),
        patient=np.array(["DOE^JOHN"] * 5 + ["ROE^JANE"] * 3),
        study=np.array(["1.2.3"] * 5 + ["1.2.4"] * 3),
        series=np.array(["1.2.3.1"] * 2 + ["1.2.3.2"] * 3 + ["1.2.4.1"] * 3),
        position=np.array([5, 0, 10, -2.5, 5, 1, 2, 3], np.float32),
        labels=np.full((8, len(LABELS)), -1, np.int8),
        pixels=slices.pixels[:8],
    )
