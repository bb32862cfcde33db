"""A dataset holds no identifier of a person: patients, studies and series are numbered in their order.

    patient, sorted by Patient ID        -> p001, p002, ...
    study, sorted by Study Instance UID  -> study0001, ...
    series likewise                      -> series0001, ...

So grouping and order are kept, and with them whatever a seed decides, while nothing of an identifier is
left that a guess could be tried on, as with a hash. There is no table of the way back: it is the image's
name, which stays, because it joins labels, predictions and files. So it must not hold the patient's ID;
`launch.deidentify` renames such files. Names, birth dates and accession numbers are never read.
"""

import csv
import pathlib
import re
from collections.abc import Iterable, Iterator

from fl_jax.files import csv_table
from fl_jax.files.atomic import atomic_open

SHORT = 4
"""An ID of fewer characters is too common to say that an image's name holds it."""
COLUMNS = {"patient": "p", "study": "study", "series": "series"}
"""What is numbered in `index.csv`, and what the number is written after."""


def replace(index: pathlib.Path) -> dict[str, str]:
    """Numbers patients, studies and series in an `index.csv`, in place.

    Args:
        index: the file, whose identifiers are those of the DICOM headers.

    Returns:
        The patients' numbers by Patient ID, for whatever else is written of them; not to be stored.

    Raises:
        ValueError: an image whose name holds its patient's ID.
    """
    found: dict[str, set[str]] = {column: set() for column in COLUMNS}
    for line in _lines(index):
        for column, values in found.items():
            values.add(line[column])
        if _names(line["image"], line["patient"]):
            raise ValueError(
                f"image {line['image']!r} has its patient's ID in its name, which datasets, predictions "
                "and reports show: rename the files, e.g. with python -m launch.deidentify"
            )
    numbers = {column: _number(found[column], before) for column, before in COLUMNS.items()}
    with atomic_open(index) as file:
        writer = csv.writer(file, lineterminator="\n")
        for place, line in enumerate(_lines(index)):
            if not place:
                writer.writerow(line)
            writer.writerow(
                numbers[column][value] if column in numbers else value
                for column, value in line.items()
            )
    return numbers["patient"]


def _names(image: str, patient: str) -> bool:
    """Whether an image's name holds its patient's ID, and not a longer number that begins or ends like it."""
    if len(patient) < SHORT:
        return False
    before = r"(?<!\d)" if patient[0].isdigit() else ""
    after = r"(?!\d)" if patient[-1].isdigit() else ""
    return re.search(before + re.escape(patient) + after, image, re.IGNORECASE) is not None


def _lines(index: pathlib.Path) -> Iterator[dict[str, str]]:
    with csv_table.rows(index) as lines:
        header = next(lines, [])
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise ValueError(f"{index}, line {number}: is cut off; build the dataset again")
            yield dict(zip(header, line, strict=True))


def _number(values: Iterable[str], before: str) -> dict[str, str]:
    ordered = sorted(values)
    width = len(str(len(ordered)))
    return {value: f"{before}{place:0{width}d}" for place, value in enumerate(ordered, 1)}
