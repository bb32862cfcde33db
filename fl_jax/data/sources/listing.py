"""`Listing`, the result of every layout: images with their files, sites and labels, and a digest.

A listing takes less than 500 bytes a file: 400 MB for the 874,035 files of the RSNA challenge.
"""

import contextlib
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fl_jax.files import csv_table
from fl_jax.files.links import check_link

LONGEST = 200
"""Maximum length of an image's name; file systems allow 255 bytes including the suffix."""
Labels = tuple[int, ...]
"""L values in {0, 1}, in the order of `types.LABELS`."""
COUNTS = ("duplicate_labels", "any_repaired", "labels_without_image", "images_without_label")
"""Repeated label lines that were dropped; `any` set from a subtype; labels and images without the other."""


class Item(NamedTuple):
    """An image with a file; `labels` is None if the layout has none."""

    path: str
    image: str
    site: str
    labels: Labels | None


class Listing(NamedTuple):
    """The images of a source.

    Attributes:
        items: sorted by site and image.
        counts: by site, the number of faults of each kind in `COUNTS`.
        digest: changes if a file's path, size or time, or any label changes.
    """

    items: list[Item]
    counts: dict[str, dict[str, int]]
    digest: str


def image_of(name: str) -> str:
    """The image's name: the file's name without `.dcm` in either case."""
    return name[:-4] if name.lower().endswith(".dcm") else name


def check_image(where: str, image: str) -> None:
    """Raises ValueError if an image's name is empty, contains a path or is no file's name."""
    if image in ("", ".", "..") or re.search(r"[/\\]", image) or not image.isprintable():
        raise ValueError(
            f"{where}: image is {image[:80]!r}; give a file's name without a path or control characters"
        )
    if len(image) > LONGEST:
        raise ValueError(
            f"{where}: image {image[:40]!r}... has {len(image)} characters; the limit is {LONGEST}"
        )


def shown(cell: str) -> str:
    """A cell for a message: a short number as it is; all else may be a name in the wrong column."""
    return (
        repr(cell) if re.fullmatch(r"[-+.\d]{0,4}", cell) else f"a text of {len(cell)} characters"
    )


def file_names(folder: pathlib.Path, hint: str) -> list[str]:
    """Sorted names of the regular files in a folder; opens no file and stats only links.

    Raises:
        ValueError: the folder is missing, or it or a file is a link that leads out of the folder above.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: {hint}")
    check_link(folder, folder.parent)
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file()]
    for entry in files:
        if entry.is_symlink():
            check_link(entry.path, folder)
    return sorted(entry.name for entry in files)


@contextlib.contextmanager
def label_rows(path: pathlib.Path) -> Iterator[Iterator[list[str]]]:
    """Yields the rows of a label table; a missing file is a ValueError like any other fault."""
    check_link(path, path.parent)
    try:
        with csv_table.rows(path) as rows:
            yield rows
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: it lists the images and their labels") from error


def with_any(labels: Labels) -> Labels:
    """Sets `any` if a subtype is positive."""
    return (1, *labels[1:]) if any(labels[1:]) else labels


def digest(items: Iterable[Item]) -> str:
    """SHA-256 over each item's site, name, size, time and labels; stats every file."""
    sha256 = hashlib.sha256()
    for item in items:
        status = os.stat(item.path)
        line = (item.site, item.image, status.st_size, status.st_mtime_ns, item.labels)
        sha256.update(repr(line).encode())
    return sha256.hexdigest()


def check_unchanged(listing: Listing) -> None:
    """Checks that no file has changed since it was listed; stats every file.

    Raises:
        ValueError: one has changed, or is gone.
    """
    try:
        changed = digest(listing.items) != listing.digest
    except FileNotFoundError:
        changed = True
    if changed:
        raise ValueError(
            "the source changed while it was read: a file was replaced or removed; run this again when "
            "nothing writes to it"
        )
