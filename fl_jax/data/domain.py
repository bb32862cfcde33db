"""What a CT study looks like to a model, in eight numbers, to compare scans with the training data.

| number | measured on |
|---|---|
| brain, HU | median inside the skull, `MARGIN` mm from the bone, of the dataset's pixels |
| noise, HU | standard deviation there of (left - 2 middle + right) / sqrt(6), without outliers |
| pixel spacing, mm | the files' pixels or the dataset's, whichever are coarser |
| field of view, mm | the files' pictures, before they were resized |
| width and length, mm | the smallest rectangle around the inside of the skull, in its largest slices |
| slice thickness, mm | the header |
| slices | the study's files that could be read |

HU and noise are those of the resized pixels that the model reads, so that scans and training data are
measured alike; noise of the files themselves is higher. From each study `SLICES` evenly spread slices are
read. A number is NaN where it is unknown.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fl_jax.data.index import read_index
from fl_jax.data.skull import inside_skull
from fl_jax.data.slices import Slices

MARGIN = 6.0
"""mm from the bone, whose edge the resized pixels average with brain."""
SMALLEST = 3000.0
"""mm2 of brain so far from the bone in a slice that is measured."""
SLICES = 16
"""Slices measured of a study."""
TO_SD = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


class Domain(NamedTuple):
    """One study's numbers; HU, mm, and a count of slices."""

    brain: float
    noise: float
    spacing: float
    field: float
    width: float
    length: float
    thickness: float
    slices: float


class Extent(NamedTuple):
    """Geometry of the files of N slices, mm; NaN if unknown.

    Attributes:
        spacing: float64[N], pixel spacing of the file or of the dataset, the coarser: the detail there is.
        field: float64[N], the longer side of the picture.
        pixel: float64[N], side of the dataset's pixels.
    """

    spacing: NDArray[np.float64]
    field: NDArray[np.float64]
    pixel: NDArray[np.float64]


def read_extent(data_dir: Path, slices: Slices) -> Extent:
    """Reads the geometry of a dataset's slices, all of them in their order, from its index."""
    names = ("rows", "columns", "spacing_row", "spacing_column")
    columns = read_index(data_dir / "slices" / "index.csv", names)
    rows, across, down, right = (np.array(columns[name], np.float64) for name in names)
    field = np.maximum(rows * down, across * right)
    pixel = field / max(slices.image_shape) if slices.pixel_mm is None else slices.pixel_mm
    return Extent(np.fmax(np.maximum(down, right), pixel), field, pixel)


def studies(slices: Slices, wanted: NDArray[np.bool_] | None = None) -> list[NDArray[np.intp]]:
    """The rows of each study, ordered by position, of the slices that are wanted.

    Args:
        slices: N slices.
        wanted: bool[N]; all if None.
    """
    rows = np.arange(len(slices)) if wanted is None else np.flatnonzero(wanted)
    order = rows[np.lexsort((slices.position[rows], slices.study[rows], slices.patient[rows]))]
    names = np.stack([slices.patient[order], slices.study[order]])
    starts = np.flatnonzero((names[:, 1:] != names[:, :-1]).any(0)) + 1
    return [part for part in np.split(order, starts) if part.size]


def measure(slices: Slices, extent: Extent, parts: Sequence[NDArray[np.intp]]) -> Iterator[Domain]:
    """Measures studies.

    Args:
        slices: the dataset; its pixels are read.
        extent: of its files.
        parts: rows of each study, of `studies`.
    """
    for rows in parts:
        some = rows[np.linspace(0, rows.size - 1, min(rows.size, SLICES)).round().astype(int)]
        pixel = extent.pixel[some]
        hu = slices.hu(some)
        inside = inside_skull(hu)
        brain, noise = _brain(hu, inside, pixel)
        width, length = _size(inside, pixel)
        spacing, field = _median(extent.spacing[rows]), _median(extent.field[rows])
        thickness = _median(slices.thickness[rows].astype(np.float64))
        yield Domain(brain, noise, spacing, field, width, length, thickness, float(rows.size))


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _brain(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], pixel: NDArray[np.float64]
) -> tuple[float, float]:
    """The brain's median HU and its noise, from [n, H, W] and the pixels' sides in mm, [n]."""
    values, differences = [np.empty(0)], [np.empty(0)]
    for picture, region, mm in zip(hu.astype(np.float64), inside, pixel, strict=True):
        side = mm if np.isfinite(mm) else 1.0
        deep = np.asarray(ndimage.distance_transform_edt(region)) * side > MARGIN
        if deep.sum() * side**2 < SMALLEST:
            continue
        values.append(picture[deep])
        curvature = (picture[:, :-2] - 2 * picture[:, 1:-1] + picture[:, 2:]) / np.sqrt(6)
        differences.append(curvature[deep[:, :-2] & deep[:, 1:-1] & deep[:, 2:]])
    brain, curvature = np.concatenate(values), np.concatenate(differences)
    if not curvature.size:
        return float("nan"), float("nan")
    # The median alone has steps of 0.6 HU, because HU are integers.
    near = np.abs(curvature) <= 3 * TO_SD * np.median(np.abs(curvature))
    return float(np.median(brain)), float(np.sqrt(np.mean(curvature[near] ** 2)))


def _size(inside: NDArray[np.bool_], pixel: NDArray[np.float64]) -> tuple[float, float]:
    """Width and length in mm of the inside of the skull."""
    areas = inside.sum((1, 2)) * pixel**2
    sides = []
    for at in np.argsort(-areas)[:3]:  # NaN sorts last
        if areas[at] >= SMALLEST:
            points = np.argwhere(inside[at])[:, ::-1].astype(np.float32)
            _, corners, _ = cv2.minAreaRect(points)
            sides.append(sorted((side + 1) * pixel[at] for side in corners))
    if not sides:
        return float("nan"), float("nan")
    width, length = np.median(sides, axis=0)
    return float(width), float(length)
