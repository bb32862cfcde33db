"""`index.csv`: one row of metadata per slice, in the order of the pixel records."""

import pathlib
import re
from collections.abc import Callable, Sequence

from fl_jax.core.types import LABELS
from fl_jax.data.metadata import REMEDY, check_digest
from fl_jax.data.site_names import SITE_NAME
from fl_jax.files import csv_table
from fl_jax.files.text import NAME, is_name, is_text

HEAD = ("brain_area", "brain_hu", "skull_area", "skull_row", "skull_column")
"""See `head.Head`."""
COLUMNS = (
    *("image", "patient", "study", "series", "site"),
    *("position", "thickness", "instance", "rows", "columns", "spacing_row", "spacing_column"),
    *(
        *HEAD,
        "centre_row",
        "centre_column",
        "tilt",
        "bits_stored",
        "signed",
        "slope",
        "intercept",
        "kernel",
        "manufacturer",
    ),
    *("transfer_syntax", "repairs", *LABELS),
)
"""Positions, thicknesses, spacings in mm; areas in cm2; tilt in degrees; repairs joined by `;`; unknown
labels empty."""


LARGEST = 3e38
"""Larger numbers are infinite as float32."""


def _length(text: str) -> bool:
    return text == "nan" or 0 < csv_table.number(text) < LARGEST


def _between(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isdecimal() and low <= csv_table.number(text) <= high


_TEXT = (is_text, "it must be printable text")
_LENGTH = (_length, "it must be above 0 mm, or nan")
_MEASURED = (
    lambda text: text == "nan" or abs(csv_table.number(text)) < LARGEST,
    "it must be a number, or nan",
)
_NUMBER = (lambda text: abs(csv_table.number(text)) < LARGEST, "it must be a number")
_REPAIRS = re.compile("[A-Z_;]*")
_RULES: dict[str, tuple[Callable[[str], object], str]] = {
    "image": (is_name, NAME),
    **dict.fromkeys(("patient", "study", "series"), _TEXT),
    "site": (SITE_NAME.fullmatch, "a site is named by letters, digits, '_', '-' and '.'"),
    **dict.fromkeys(("position", "slope", "intercept"), _NUMBER),
    **dict.fromkeys(("thickness", "spacing_row", "spacing_column"), _LENGTH),
    **dict.fromkeys(HEAD, _MEASURED),
    **dict.fromkeys(("centre_row", "centre_column"), _NUMBER),
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
"""Validity of a cell and its description, by column; kernel, manufacturer and syntax may be any text."""


def read_index(path: str | pathlib.Path, names: Sequence[str] = COLUMNS) -> csv_table.Columns:
    """Reads and checks columns of a dataset's `slices/index.csv`, as text.

    Args:
        path: the file.
        names: which of `COLUMNS`.

    Returns:
        The cells of each column, by name; equal cells share one object.

    Raises:
        ValueError: names file, line, value and remedy: another header, a truncated row, an invalid cell, a
            repeated image, or a file that has changed since it was built.
    """
    path = pathlib.Path(path)
    columns = csv_table.read(path, names, header=COLUMNS, remedy=REMEDY)
    for name in names:
        if name in _RULES:
            valid, rule = _RULES[name]
            csv_table.check(path, columns, name, valid, f"{rule}; {REMEDY}")
    if "image" in columns:
        csv_table.unique(path, columns, "image", f"it is there twice; {REMEDY}")
    check_digest(path.parent.parent, "slices/index.csv")
    return columns
