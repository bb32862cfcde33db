"""Whether scans look like those that a model was trained on, in words."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fl_jax.data.domain import Domain
from fl_jax.report.formatting import fixed

Ranges = Mapping[str, tuple[float, float] | None]
"""By the fields of `Domain`: the range of the training scans, None if unknown."""


class Number(NamedTuple):
    """How a number of `Domain` is shown: its name, unit and decimals."""

    name: str
    unit: str
    digits: int


NUMBERS = {
    "brain": Number("brain's median", "HU", 0),
    "noise": Number("noise", "HU", 1),
    "spacing": Number("pixel spacing", "mm", 2),
    "field": Number("field of view", "mm", 0),
    "width": Number("width inside the skull", "mm", 0),
    "length": Number("length inside the skull", "mm", 0),
    "thickness": Number("slice thickness", "mm", 1),
    "slices": Number("number of slices", "", 0),
}


def cells(domain: Domain, ranges: Ranges) -> list[dict[str, Any]]:
    """The cells of a study's row in the table: each a text, and whether it lies outside the range."""
    return [
        {"text": _text(name, value), "outside": _outside(name, value, ranges)}
        for name, value in domain._asdict().items()
    ]


def warnings(domain: Domain, ranges: Ranges) -> list[str]:
    """The numbers outside their range, each as "noise 7.9 HU; training scans had 2.1 to 4.8"."""
    return [
        f"{NUMBERS[name].name} {_with_unit(name, value)}; training scans had {range_text(name, ranges)}"
        for name, value in domain._asdict().items()
        if _outside(name, value, ranges)
    ]


def unknown(domain: Domain, ranges: Ranges) -> list[str]:
    """The numbers that could not be compared, by name."""
    return [
        NUMBERS[name].name
        for name, value in domain._asdict().items()
        if math.isnan(value) or ranges.get(name) is None
    ]


def range_text(name: str, ranges: Ranges) -> str:
    """A range, such as "2.1 to 4.8"; "unknown" if it is."""
    limits = ranges.get(name)
    return "unknown" if limits is None else f"{_text(name, limits[0])} to {_text(name, limits[1])}"


def _text(name: str, value: float) -> str:
    return "–" if math.isnan(value) else fixed(value, NUMBERS[name].digits)


def _with_unit(name: str, value: float) -> str:
    return f"{_text(name, value)} {NUMBERS[name].unit}".strip()


def _outside(name: str, value: float, ranges: Ranges) -> bool:
    """Compares as printed, so that no value is called outside a range that shows it inside."""
    limits, digits = ranges.get(name), NUMBERS[name].digits
    if limits is None or math.isnan(value):
        return False
    low, high = (round(limit, digits) for limit in limits)
    return not low <= round(value, digits) <= high
