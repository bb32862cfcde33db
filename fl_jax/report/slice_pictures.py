"""Slices at full resolution for a page, read again from their DICOM files."""

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fl_jax.data import dicom
from fl_jax.data.dicom.hounsfield import resize
from fl_jax.data.windows import DEFAULT_WINDOWS
from fl_jax.report.pictures import windowed

BRAIN = DEFAULT_WINDOWS[:1]
LARGEST = 512
"""Side of a picture, pixels; larger ones are averaged to it."""
QUALITY = 90
"""Of JPEG: 30 to 60 KB a slice, without visible artefacts at this window."""


class Picture(NamedTuple):
    """A slice as JPEG.

    Attributes:
        jpeg: the file's bytes.
        pixels: its side.
        field: mm from side to side; NaN if unknown.
        full: whether it has the resolution of the DICOM file, up to `LARGEST`.
    """

    jpeg: bytes
    pixels: int
    field: float
    full: bool


def from_file(path: Path) -> Picture | None:
    """Reads a DICOM file at its resolution, square pixels; None if it cannot be read any more."""
    read = dicom.read(path, size=None)
    if isinstance(read, dicom.Refusal):
        return None
    size = min(LARGEST, max(read.shape))
    field = max(side * mm for side, mm in zip(read.shape, read.spacing, strict=True))
    return Picture(_jpeg(resize(read.hu, size, read.spacing)), size, field, True)


def from_dataset(hu: NDArray[np.int16]) -> Picture:
    """The picture of a dataset's slice int16[H, W] in HU, at the model's input size."""
    return Picture(_jpeg(hu), hu.shape[0], math.nan, False)


def _jpeg(hu: NDArray[np.int16]) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, encoded = cv2.imencode(".jpg", windowed(hu, BRAIN), options)
    return encoded.tobytes()
