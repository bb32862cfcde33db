"""Whose scans were judged: subgroups by how a slice was made, from what the study keeps on disk.

Slice thickness, manufacturer, kernel and the way of storing pixels come from the dataset's `index.csv`; the
size of a bleed is known of the synthetic cohort alone, from its table of what was drawn (`truth/slices.csv`).
Nothing of a patient is read. The statistics are those of `evaluation.subgroups`.
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.data.index import read_index
from fl_jax.evaluation import subgroups
from fl_jax.evaluation.predictions import Predictions
from fl_jax.files import csv_table

Headers = Mapping[str, Mapping[str, str]]
"""[property][image], the name of the image's subgroup; "" where unknown."""

FIELDS = ("thickness", "manufacturer", "kernel", "bits_stored", "signed", "intercept")
THICKNESS = (2.5, 5.0)
"""Limits in mm."""
AREA = (100.0, 500.0)
"""Limits in mm2 of the bleed in a slice."""
SIZE = "size of the bleed in the slice"
"""The property that only slices with a bleed have."""
SHARED = ("federated", "central")


def load(
    index: str | Path, drawn: Sequence[str | Path] = (), *, images: Collection[str]
) -> Headers:
    """Reads what is known of the images that were judged, a share of the dataset's.

    Args:
        index: the dataset's `index.csv`.
        drawn: where a synthetic cohort's `slices.csv` may be; the first that exists is read.
        images: the names that are wanted.

    Returns:
        The `Headers`; none without an index.

    Raises:
        ValueError: a file has other columns.
    """
    if not Path(index).exists():
        return {}
    read = read_index(index, ("image", *FIELDS))
    kept = [name in images for name in read["image"]]
    read = {name: [*itertools.compress(all_, kept)] for name, all_ in read.items()}
    image = read["image"]
    thickness = np.array(read["thickness"], np.float64)
    found = {
        "slice thickness": subgroups.ranges(thickness, THICKNESS, "mm").tolist(),
        "manufacturer": read["manufacturer"],
        "kernel": read["kernel"],
        "stored pixels": _stored(read),
    }
    known = {name: dict(zip(image, values, strict=True)) for name, values in found.items()}
    for path in drawn:
        if Path(path).exists():
            return known | {SIZE: _sizes(Path(path), {*image})}
    return known


def _stored(read: Mapping[str, Sequence[str]]) -> list[str]:
    said = {"0": "unsigned", "1": "signed"}
    return [
        f"{bits} bit {said.get(signed, 'of unknown sign')}, intercept {float(intercept):g}"
        for bits, signed, intercept in zip(
            read["bits_stored"], read["signed"], read["intercept"], strict=True
        )
    ]


def _sizes(path: Path, images: Collection[str]) -> dict[str, str]:
    wanted, remedy = [f"area_{label}" for label in LABELS[1:]], "make the cohort again"
    found = csv_table.read(path, ("Image", *wanted), remedy=remedy)
    csv_table.unique(path, found, "Image", f"it is there twice; {remedy}")
    for name in wanted:
        csv_table.check(
            path, found, name, _is_area, f"it must be a number of mm², 0 or more; {remedy}"
        )
    known = {*found["Image"]}
    lacking = [image for image in images if image not in known]
    if lacking and len(lacking) < len(images):
        raise ValueError(
            f"{path}: lacks {len(lacking)} of {len(images)} images, such as {min(lacking)!r}; {remedy}"
        )
    kept = [name in images for name in found["Image"]]
    of_rows = zip(*(map(float, found[name]) for name in wanted), strict=True)
    areas = [sum(row) for row in itertools.compress(of_rows, kept)]
    sizes = subgroups.ranges(areas, AREA, "mm²").tolist()
    return dict(zip(itertools.compress(found["Image"], kept), sizes, strict=True))


def _is_area(text: str) -> bool:
    return 0 <= csv_table.number(text) < math.inf


def sections(
    models: Mapping[str, Predictions],
    headers: Headers,
    *,
    level: float,
    minimum: int = subgroups.MINIMUM,
) -> dict[str, Any]:
    """The part of `results.json` about subgroups.

    Args:
        models: predictions on the primary data, by model; those that every hospital has are judged.
        headers: of `load`.
        level: coverage of the intervals.
        minimum: the fewest patients that a row may have.

    Returns:
        "minimum", "controls" (properties that only bleeds have, told apart from slices without one), and
        "table" by [property][model][subgroup] as `subgroups.table` gives it. A property that no slice has is
        left out.
    """
    table: dict[str, Any] = {}
    for name, known in headers.items():
        for model in SHARED:
            if model not in models:
                continue
            data = models[model]
            column = np.array([known.get(image, "") for image in data.image.tolist()])
            controls = _controls(data) if name == SIZE else None
            if (column != "").any():
                rows = subgroups.table(
                    data, column, controls=controls, minimum=minimum, level=level
                )
                table.setdefault(name, {})[model] = _ordered(rows)
    return {"minimum": minimum, "controls": [SIZE] if SIZE in table else [], "table": table}


def _ordered(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Ranges from the lowest up, other names as they are sorted; what is unknown comes last."""
    places = [
        subgroups.ranges([limits[0] - 1, *limits], limits, unit).tolist()
        for limits, unit in ((THICKNESS, "mm"), (AREA, "mm²"))
    ]
    known = [name for names in places for name in names]
    order = sorted(rows, key=lambda name: (not name, known.index(name) if name in known else 0))
    return {name: rows[name] for name in order}


def _controls(data: Predictions) -> NDArray[np.bool_]:
    return data.truth[:, LABELS.index("any")] == 0
