"""Names that every floor shares: shape letters, labels, and the batch that crosses to the device.

Shape letters, used in every docstring of this project:

| letter | meaning | | letter | meaning |
|---|---|---|---|---|
| S | sites in the federation | | H, W | rows and columns of an image, pixels |
| T | local steps of one round | | C | CT windows, i.e. image channels |
| B | examples in a batch | | L | labels |
| N | examples in a dataset | | | |
"""

from typing import Any, NamedTuple

import jax
import numpy as np

LABELS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
"""The L = 6 labels in the order of every array: `any` hemorrhage and its five subtypes."""

Array = jax.Array | np.ndarray
Params = Any
"""A pytree of float arrays: a model's parameters, an update or a gradient of the same shape."""
Metrics = dict[str, Array]
"""Scalars by name, float32; a function returns them, `launch/` logs them."""


class Batch(NamedTuple):
    """Examples of one site.

    Attributes:
        inputs: [B, ...] what the model reads; for CT int16[B, H, W] in Hounsfield units (HU).
        labels: float32[B, L] in {0, 1}.
        mask: float32[B], 1 for a real example and 0 for the padding that fills a last batch.
    """

    inputs: Array
    labels: Array
    mask: Array
