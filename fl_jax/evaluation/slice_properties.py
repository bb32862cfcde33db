"""Properties of slices for subgroup analysis: scanner, slice thickness, kernel, stored pixels, lesion size.

Acquisition properties come from the dataset's `index.csv`, lesion size from a synthetic cohort's
`truth/slices.csv`. No property describes a patient. `evaluation.subgroups` computes the statistics.
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import ANY, LABELS
from fl_jax.data.index import read_index
from fl_jax.evaluation import subgroups
from fl_jax.evaluation.predictions import Predictions
from fl_jax.files import csv_table

SliceProperties = Mapping[str, Mapping[str, str]]
"""[property][image], the image's subgroup; "" if unknown."""

FIELDS = ("thickness", "manufacturer", "kernel", "bits_stored", "signed", "intercept")
THICKNESS = (2.5, 5.0)
"""Limits of the subgroups, mm."""
AREA = (100.0, 500.0)
"""Limits of the subgroups, mm² of lesion in a slice."""
SIZE = "size of the bleed in the slice"
"""The property that only slices with a lesion have."""
SHARED = ("federated", "central")
"""Models that every site has."""


def load(
    index: str | Path, drawn: Sequence[str | Path] = (), *, images: Collection[str]
) -> SliceProperties:
    """Reads the properties of some images.

    Args:
        index: the dataset's `index.csv`.
        drawn: candidate paths of a synthetic cohort's `slices.csv`; the first that exists is read.
        images: names of the images.

    Returns:
        The `SliceProperties`; empty without an index.

    Raises:
        ValueError: a file has other columns, a cell is malformed, or `slices.csv` lacks some of the images.
    """
    if not Path(index).exists():
        return {}
    cells = read_index(index, ("image", *FIELDS))
    wanted = [name in images for name in cells["image"]]
    cells = {name: [*itertools.compress(column, wanted)] for name, column in cells.items()}
    image = cells["image"]
    thickness = np.array(cells["thickness"], np.float64)
    values = {
        "slice thickness": subgroups.ranges(thickness, THICKNESS, "mm").tolist(),
        "manufacturer": cells["manufacturer"],
        "kernel": cells["kernel"],
        "stored pixels": _stored(cells),
    }
    properties = {name: dict(zip(image, column, strict=True)) for name, column in values.items()}
    for path in drawn:
        if Path(path).exists():
            return properties | {SIZE: _sizes(Path(path), {*image})}
    return properties


def _stored(cells: Mapping[str, Sequence[str]]) -> list[str]:
    signs = {"0": "unsigned", "1": "signed"}
    return [
        f"{bits} bit {signs.get(signed, 'of unknown sign')}, intercept {float(intercept):g}"
        for bits, signed, intercept in zip(
            cells["bits_stored"], cells["signed"], cells["intercept"], strict=True
        )
    ]


def _sizes(path: Path, images: Collection[str]) -> dict[str, str]:
    names, remedy = [f"area_{label}" for label in LABELS[1:]], "make the cohort again"
    cells = csv_table.read(path, ("Image", *names), remedy=remedy)
    csv_table.unique(path, cells, "Image", f"it is there twice; {remedy}")
    for name in names:
        csv_table.check(
            path, cells, name, _is_area, f"it must be a number of mm², 0 or more; {remedy}"
        )
    known = {*cells["Image"]}
    lacking = [image for image in images if image not in known]
    if lacking and len(lacking) < len(images):
        raise ValueError(
            f"{path}: lacks {len(lacking)} of {len(images)} images, such as {min(lacking)!r}; {remedy}"
        )
    wanted = [name in images for name in cells["Image"]]
    of_rows = zip(*(map(float, cells[name]) for name in names), strict=True)
    areas = [sum(row) for row in itertools.compress(of_rows, wanted)]
    sizes = subgroups.ranges(areas, AREA, "mm²").tolist()
    return dict(zip(itertools.compress(cells["Image"], wanted), sizes, strict=True))


def _is_area(text: str) -> bool:
    return 0 <= csv_table.number(text) < math.inf


def sections(
    models: Mapping[str, Predictions], properties: SliceProperties, *, level: float
) -> dict[str, Any]:
    """Computes the subgroup section of `results.json`.

    Args:
        models: predictions on the primary data, by model; only `SHARED` models are used.
        properties: from `load`.
        level: coverage of the intervals.

    Returns:
        "minimum"; "controls", the properties whose subgroups share the lesion-free slices as negatives; and
        "table" by [property][model][subgroup] as in `subgroups.table`, without properties that no slice has.
    """
    table: dict[str, Any] = {}
    for name, by_image in properties.items():
        for model in SHARED:
            if model not in models:
                continue
            data = models[model]
            column = np.array([by_image.get(image, "") for image in data.image.tolist()])
            controls = _without_lesion(data) if name == SIZE else None
            if (column != "").any():
                rows = subgroups.table(data, column, controls=controls, level=level)
                table.setdefault(name, {})[model] = _ordered(rows)
    return {
        "minimum": subgroups.MINIMUM,
        "controls": [SIZE] if SIZE in table else [],
        "table": table,
    }


def _ordered(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Ranges ascending, other names in their order, unknown last."""
    ranges = [
        subgroups.ranges([limits[0] - 1, *limits], limits, unit).tolist()
        for limits, unit in ((THICKNESS, "mm"), (AREA, "mm²"))
    ]
    known = [name for names in ranges for name in names]
    order = sorted(rows, key=lambda name: (not name, known.index(name) if name in known else 0))
    return {name: rows[name] for name in order}


def _without_lesion(data: Predictions) -> NDArray[np.bool_]:
    return data.truth[:, ANY] == 0
