"""What a dataset says of itself in text: `summary.json` and its tables, as they were built or refused."""

import math
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import SITE_NAME
from fl_jax.data.sources.listing import COUNTS
from fl_jax.files import csv_table
from fl_jax.files import json_shape as shapes
from fl_jax.files.atomic import sha256
from fl_jax.files.text import NAME, is_name, is_text

VERSION = "1.2.0"
"""Of the dataset's layout; a dataset of another version is built anew."""
REMEDY = "build the dataset anew with launch.prepare_data"
TABLES = ("slices/index.csv", "slices/duplicates.csv", "refused.csv")
COLUMNS = (
    *("image", "patient", "study", "series", "site"),
    *("position", "thickness", "instance", "rows", "columns", "spacing_row", "spacing_column"),
    *("tilt", "bits_stored", "signed", "slope", "intercept", "kernel", "manufacturer"),
    *("transfer_syntax", "repairs", *LABELS),
)
"""Of `index.csv`: positions, thicknesses and spacings in mm, tilt in degrees, repairs by `;`, labels
empty where there are none."""

Summary = dict[str, Any]
"""`summary.json`: version, digest, options, versions, refused (share of files), duplicates (counts),
sites: {name: counts}, tables: {path: SHA-256}."""
_SHOWN = ("patients", "studies", "slices")
SUMMARY = {
    **dict.fromkeys(("version?", "digest?"), str),
    "refused?": shapes.NUMBER,
    "sites?": {
        "*": {
            **dict.fromkeys((f"{name}?" for name in _SHOWN), shapes.COUNT),
            "positives?": {f"{label}?": shapes.COUNT for label in LABELS},
            "refused?": {"*": int},
            "repairs?": {"*": int},
            **dict.fromkeys((f"{name}?" for name in COUNTS), int),
        }
    },
    "tables?": {"*": str},
}
"""Of a dataset of any version, as far as a report shows it."""
_WHOLE = {
    "digest": str,
    "options": {"image_size": int},
    "versions": {"*": str},
    "refused": (int, float),
    "sites": {
        "*": {
            "positives": dict.fromkeys(LABELS, int),
            "refused": {"*": int},
            "repairs": {"*": int},
            **dict.fromkeys((*_SHOWN, "shared_pictures", "linked_patients", *COUNTS), int),
        }
    },
}
"""Of a dataset of this version."""


def read_summary(data_dir: str | pathlib.Path) -> Summary | None:
    """The summary of the dataset under `data_dir`; None if there is no complete dataset.

    Raises:
        ValueError: it is not what it should be.
    """
    path = pathlib.Path(data_dir) / "summary.json"
    found = shapes.read(path, SUMMARY, REMEDY)
    if found is not None and found.get("version") == VERSION:
        shapes.check(f"{path}", found, _WHOLE, REMEDY)
    return found


def digests(data_dir: pathlib.Path) -> dict[str, str]:
    """SHA-256 of each of `TABLES`, for the summary."""
    return {name: sha256(data_dir / name) for name in TABLES}


def check_built(data_dir: pathlib.Path, name: str) -> None:
    """Refuses a table that is not as it was built, by its digest; older datasets do not have any.

    That rows are missing at the end, or a label is another, cannot be seen in the table itself.

    Raises:
        ValueError: its digest is not that of `summary.json`.
    """
    built = (read_summary(data_dir) or {}).get("tables", {}).get(name)
    if built is not None and built != sha256(data_dir / name):
        raise ValueError(
            f"{data_dir / name}: is not as it was built, by its SHA-256 in summary.json; {REMEDY}"
        )


def _length(text: str) -> bool:
    return text == "nan" or 0 < csv_table.number(text) < math.inf


def _between(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isdecimal() and low <= csv_table.number(text) <= high


_TEXT = (is_text, "it must be a printable text")
_LENGTH = (_length, "it must be above 0 mm, or nan")
_NUMBER = (lambda text: math.isfinite(csv_table.number(text)), "it must be a number")
_REPAIRS = re.compile("[A-Z_;]*")
_RULES: dict[str, tuple[Callable[[str], object], str]] = {
    "image": (is_name, NAME),
    **dict.fromkeys(("patient", "study", "series"), _TEXT),
    "site": (SITE_NAME.fullmatch, "a site is named by letters, digits, '_', '-' and '.'"),
    **dict.fromkeys(("position", "slope", "intercept"), _NUMBER),
    **dict.fromkeys(("thickness", "spacing_row", "spacing_column"), _LENGTH),
    "tilt": (
        lambda text: text == "nan" or abs(csv_table.number(text)) <= 90,
        "it must be -90 to 90",
    ),
    **dict.fromkeys(("rows", "columns"), (_between(1, 65535), "it must be 1 to 65535")),
    "bits_stored": (_between(1, 16), "it must be 1 to 16"),
    "signed": (_between(0, 1), "it must be 0 or 1"),
    "repairs": (_REPAIRS.fullmatch, "it must name repairs"),
    **dict.fromkeys(LABELS, (("0", "1", "").__contains__, "it must be 0 or 1, or empty")),
}
"""What each cell of a column must be; texts of the scanner's maker may be any."""


def read_index(path: str | pathlib.Path, names: Sequence[str] = COLUMNS) -> csv_table.Columns:
    """Columns of a dataset's `slices/index.csv`, as text; equal texts are one object.

    Args:
        path: the file.
        names: which of `COLUMNS`.

    Returns:
        Each column, by name.

    Raises:
        ValueError: with file, line, value and remedy: another header, a row that is cut off, a cell that no
            build writes, an image twice, or a file that is not as it was built.
    """
    path = pathlib.Path(path)
    found = csv_table.read(path, names, header=COLUMNS, remedy=REMEDY)
    for name in names:
        if name in _RULES:
            good, said = _RULES[name]
            csv_table.check(path, found, name, good, f"{said}; {REMEDY}")
    if "image" in found:
        csv_table.unique(path, found, "image", f"it is there twice; {REMEDY}")
    check_built(path.parent.parent, "slices/index.csv")
    return found
