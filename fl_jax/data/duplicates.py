"""A picture that two patients share makes them one: whoever learned it must not be judged on it.

The RSNA challenge has images twice under different patients, and a hospital's export may too. The
builder takes a digest of every picture as the dataset stores it, which is what a model sees, and
writes the pictures that stand more than once to `duplicates.csv`, one line an image:

    pixels,image,patient,site

Patients are linked where they share a picture, and so on through chains (a-b, b-c): the connected
components of that graph. A partition sends linked patients to one side together. A picture of one
value, such as a slice of air, is nobody's and links nobody.
"""

import csv
import hashlib
import pathlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fl_jax.data.index import REMEDY, check_built
from fl_jax.files import csv_table

HEADER = ("pixels", "image", "patient", "site")
BYTES = 16
"""Of a digest: among a million pictures two agree by chance once in 10^26 datasets."""
_DIGEST = re.compile(rf"[0-9a-f]{{{2 * BYTES}}}")


class Copy(NamedTuple):
    """A line of `duplicates.csv`: an image whose picture another image has too."""

    pixels: str
    image: str
    patient: str
    site: str


class Pictures:
    """Digests of the pictures of a dataset as they are read, 16 bytes each."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, hu: np.ndarray) -> None:
        """Takes the next row's picture: int16[H, W] in HU."""
        plain = hu.min() == hu.max()
        own = len(self._digests).to_bytes(BYTES, "big")  # like no other row's
        pixels = hashlib.blake2b(hu.tobytes(), digest_size=BYTES).digest()
        self._digests += own if plain else pixels

    def shared(self) -> dict[int, str]:
        """The rows whose picture another row has too: row to digest, in the order of rows."""
        digests = np.frombuffer(bytes(self._digests), np.dtype((np.void, BYTES)))
        _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
        return {int(row): digests[row].item().hex() for row in np.flatnonzero(counts[inverse] > 1)}


def write(path: pathlib.Path, copies: Iterable[Copy]) -> None:
    """Writes `duplicates.csv`, equal pictures side by side."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(sorted(copies))


def read(path: pathlib.Path) -> list[Copy]:
    """Reads what `write` wrote, of a dataset's `slices/`.

    Raises:
        ValueError: with file, line, value and remedy: it is not what `write` writes.
    """
    found = csv_table.read(path, HEADER, header=HEADER, remedy=REMEDY)
    csv_table.check(path, found, "pixels", _DIGEST.fullmatch, f"it must be a digest; {REMEDY}")
    counts = Counter(found["pixels"])
    csv_table.check(
        path, found, "pixels", lambda text: counts[text] > 1, f"it has no other; {REMEDY}"
    )
    csv_table.unique(path, found, "image", f"it is there twice; {REMEDY}")
    check_built(path.parent.parent, "slices/duplicates.csv")
    return [Copy(*line) for line in zip(*found.values(), strict=True)]


def check(path: pathlib.Path, copies: Iterable[Copy], rows: Iterable[tuple[str, str, str]]) -> None:
    """Raises ValueError for a copy that is none of a dataset's rows, each an image, patient and site."""
    strange = {copy[1:] for copy in copies} - {*rows}
    if strange:
        raise ValueError(
            f"{path}: holds image, patient and site {min(strange)}, which index.csv does not; {REMEDY}"
        )


def linked(copies: Iterable[Copy]) -> dict[str, str]:
    """Patients that share a picture, by chains too, with a name for each set of them.

    Args:
        copies: the lines of `duplicates.csv`.

    Returns:
        Patient to group: the alphabetically first of the patients that are linked. Patients who
        share no picture with another patient are not in it.
    """
    owners: dict[str, set[str]] = {}
    for copy in copies:
        owners.setdefault(copy.pixels, set()).add(copy.patient)
    found: dict[str, set[str]] = {}
    for patients in owners.values():
        merged = patients.union(*(found[patient] for patient in patients if patient in found))
        found |= dict.fromkeys(merged, merged)
    return {patient: min(group) for patient, group in sorted(found.items()) if len(group) > 1}
