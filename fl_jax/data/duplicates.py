"""Patients who share a picture count as one patient: a model that saw the picture must not be tested on it.

The RSNA challenge has some images under two patients, and so may a hospital's export. The build hashes every
picture at the stored size, whatever it is centred on, and lists the repeated ones in `duplicates.csv`, one
row an image:

    pixels,image,patient,site

Patients are linked if they share a picture, transitively: groups are the connected components of that graph.
A partition assigns linked patients to one split. A constant picture, e.g. a slice of air, links nobody.
"""

import hashlib
import pathlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fl_jax.data.metadata import REMEDY, check_digest
from fl_jax.files import csv_table

HEADER = ("pixels", "image", "patient", "site")
BYTES = 16
"""Digest size: among a million pictures two collide in one of 10^26 datasets."""
_DIGEST = re.compile(rf"[0-9a-f]{{{2 * BYTES}}}")


class Copy(NamedTuple):
    """A row of `duplicates.csv`: an image whose picture occurs in another image, too."""

    pixels: str
    image: str
    patient: str
    site: str


def digest(hu: np.ndarray) -> bytes:
    """The digest of a picture, int16[H, W] in HU; empty if it is constant."""
    constant = hu.min() == hu.max()
    return b"" if constant else hashlib.blake2b(hu.tobytes(), digest_size=BYTES).digest()


class PictureDigests:
    """Digests of the pictures of a dataset as they are read, 16 bytes each."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, digest: bytes) -> None:
        """Adds the next row's `digest`."""
        self._digests += digest or len(self._digests).to_bytes(BYTES, "big")

    def repeated(self) -> dict[int, str]:
        """Maps rows whose picture occurs more than once to its digest, in the order of rows."""
        digests = np.frombuffer(bytes(self._digests), np.dtype((np.void, BYTES)))
        _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
        return {int(row): digests[row].item().hex() for row in np.flatnonzero(counts[inverse] > 1)}


def write(path: pathlib.Path, copies: Iterable[Copy]) -> None:
    """Writes `duplicates.csv`, sorted by picture."""
    csv_table.write(path, HEADER, sorted(copies))


def read(path: pathlib.Path) -> list[Copy]:
    """Reads a dataset's `slices/duplicates.csv`.

    Raises:
        ValueError: names file, line, value and remedy if the file is not as `write` wrote it.
    """
    columns = csv_table.read(path, HEADER, header=HEADER, remedy=REMEDY)
    csv_table.check(path, columns, "pixels", _DIGEST.fullmatch, f"it must be a digest; {REMEDY}")
    counts = Counter(columns["pixels"])
    csv_table.check(
        path, columns, "pixels", lambda text: counts[text] > 1, f"it occurs only once; {REMEDY}"
    )
    csv_table.unique(path, columns, "image", f"it is there twice; {REMEDY}")
    check_digest(path.parent.parent, "slices/duplicates.csv")
    return [Copy(*row) for row in zip(*columns.values(), strict=True)]


def check(path: pathlib.Path, copies: Iterable[Copy], rows: Iterable[tuple[str, str, str]]) -> None:
    """Checks that each copy is a row of the dataset, given as (image, patient, site).

    Raises:
        ValueError: names the first unknown copy.
    """
    unknown = {copy[1:] for copy in copies} - {*rows}
    if unknown:
        raise ValueError(
            f"{path}: image, patient and site {min(unknown)} are not in index.csv; {REMEDY}"
        )


def linked_patients(copies: Iterable[Copy]) -> dict[str, str]:
    """Groups patients who share a picture, transitively.

    Args:
        copies: the rows of `duplicates.csv`.

    Returns:
        Maps each patient of a group of at least two to the alphabetically first one.
    """
    patients_of: dict[str, set[str]] = {}
    for copy in copies:
        patients_of.setdefault(copy.pixels, set()).add(copy.patient)
    group_of: dict[str, set[str]] = {}
    for patients in patients_of.values():
        merged = patients.union(*(group_of[patient] for patient in patients if patient in group_of))
        group_of |= dict.fromkeys(merged, merged)
    return {patient: min(group) for patient, group in sorted(group_of.items()) if len(group) > 1}
