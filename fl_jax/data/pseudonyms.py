"""Datasets contain no personal identifiers: patients, studies and series are numbered in sorted order.

    patient, sorted by Patient ID        -> p001, p002, ...
    study, sorted by Study Instance UID  -> study0001, ...
    series likewise                      -> series0001, ...

Numbering keeps groups and order, hence everything that a seed decides. Unlike a hash, a number cannot be
tested against guessed identifiers. No table leads back; only an image's name does, because it joins labels,
predictions and files. So a name must not contain its patient's ID; `launch.deidentify` renames such files.
Names, birth dates and accession numbers are never read.
"""

import pathlib
import re
from collections.abc import Iterable, Iterator

from fl_jax.files import csv_table
from fl_jax.files.atomic import atomic_open

SHORT = 4
"""A shorter ID is too common for its occurrence in an image's name to mean anything."""
PREFIXES = {"patient": "p", "study": "study", "series": "series"}
"""Numbered columns of `index.csv`, and the prefix of each number."""


def number_identifiers(index: pathlib.Path) -> dict[str, str]:
    """Replaces the identifiers in an `index.csv` by numbers, in place.

    Args:
        index: the file, with identifiers from the DICOM headers.

    Returns:
        Maps Patient IDs to numbers; never store it.

    Raises:
        ValueError: an image's name contains its patient's ID.
    """
    values: dict[str, set[str]] = {column: set() for column in PREFIXES}
    for row in _rows(index):
        for column, known in values.items():
            known.add(row[column])
        if _contains_id(row["image"], row["patient"]):
            raise ValueError(
                f"image {row['image']!r} has its patient's ID in its name, which datasets, predictions "
                "and reports show: rename the files, e.g. with python -m launch.deidentify"
            )
    numbers = {column: _number(values[column], prefix) for column, prefix in PREFIXES.items()}
    with atomic_open(index) as file:
        writer = csv_table.writer(file)
        for place, row in enumerate(_rows(index)):
            if not place:
                writer.writerow(row)
            writer.writerow(
                numbers[column][value] if column in numbers else value
                for column, value in row.items()
            )
    return numbers["patient"]


def _contains_id(image: str, patient: str) -> bool:
    """Whether an image's name contains an ID that is not merely part of a longer number."""
    if len(patient) < SHORT:
        return False
    before = r"(?<!\d)" if patient[0].isdigit() else ""
    after = r"(?!\d)" if patient[-1].isdigit() else ""
    return re.search(before + re.escape(patient) + after, image, re.IGNORECASE) is not None


def _rows(index: pathlib.Path) -> Iterator[dict[str, str]]:
    with csv_table.rows(index) as rows:
        header = next(rows, [])
        for number, row in enumerate(rows, 2):
            if len(row) != len(header):
                raise ValueError(f"{index}, line {number}: is truncated; build the dataset again")
            yield dict(zip(header, row, strict=True))


def _number(values: Iterable[str], prefix: str) -> dict[str, str]:
    ordered = sorted(values)
    width = len(str(len(ordered)))
    return {value: f"{prefix}{place:0{width}d}" for place, value in enumerate(ordered, 1)}
