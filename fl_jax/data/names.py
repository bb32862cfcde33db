"""Checks before a build that no file's name contains its Patient ID, which datasets and pages would show.

A build checks every name again as it reads the file. This pass reads the beginnings of the headers alone,
some 0.4 ms a file, so that a folder of such names is refused at once, not after thousands of records.
"""

from collections.abc import Sequence

from fl_jax.data import dicom
from fl_jax.data.pseudonyms import without_id
from fl_jax.data.sources import Item

LARGEST_PASS = 20_000
"""Files read by the pass, evenly spread over a larger source, whose other names are checked as it is read."""


def check_names(items: Sequence[Item]) -> None:
    """Checks the names of up to `LARGEST_PASS` files.

    Raises:
        ValueError: a file's name contains its Patient ID.
    """
    step = max(1, -(-len(items) // LARGEST_PASS))
    for item in items[::step]:
        if _contains(item, dicom.patient_id(item.path)):
            read = dicom.read(item.path, size=1)
            if isinstance(read, dicom.Slice):  # a refused file is named without the ID
                check_name(item, read.patient)


def check_name(item: Item, patient: str) -> None:
    """Raises ValueError if the image's name contains its Patient ID; the message does not."""
    if _contains(item, patient):
        raise ValueError(
            f"{without_id(item.path, patient)}: the file's name contains its Patient ID, and datasets, "
            "predictions and reports show names: rename such files, e.g. with python -m launch.deidentify"
        )


def _contains(item: Item, patient: str) -> bool:
    return without_id(item.image, patient) != item.image
