"""What every layout gives: images with their files, sites and labels, and a digest of them all.

Memory is under 500 bytes a file at the most: 400 MB for the 874,035 of the RSNA challenge.
"""

import contextlib
import csv
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

HOLDOUT = "holdout"
"""The site that no model is trained on."""
POOLED = "all_sites"
"""What the report calls the patients of all sites together."""

Labels = tuple[int, ...]
"""L values in {0, 1}, in the order of `types.LABELS`."""


class Item(NamedTuple):
    """An image that has a file; `labels` are None where the layout has none."""

    path: str
    image: str
    site: str
    labels: Labels | None


class Listing(NamedTuple):
    """What a source holds.

    Attributes:
        items: the images, sorted by site and image.
        counts: per site, what was dropped or repaired, of `COUNTS`.
        digest: changes when a file's path, size or time, or a label changes.
    """

    items: list[Item]
    counts: dict[str, dict[str, int]]
    digest: str


COUNTS = ("duplicate_labels", "any_repaired", "labels_without_image", "images_without_label")
"""Lines dropped as repeats, `any` set from a subtype, labels and images that lack the other."""


def image_of(name: str) -> str:
    """The image that a file would be: its name without `.dcm`, in either case."""
    return name[:-4] if name.lower().endswith(".dcm") else name


def check_image(where: str, image: str) -> None:
    """Refuses an image's name that is empty or holds a path."""
    if image in ("", ".", "..") or re.search(r"[/\\\0]", image):
        raise ValueError(f"{where}: image is {image!r}; give a file's name without a path")


def file_names(folder: pathlib.Path, hint: str) -> list[str]:
    """Names of the regular files of a folder, sorted; opens and stats none of them."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: {hint}")
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file())


@contextlib.contextmanager
def table(path: pathlib.Path, holds: str) -> Iterator[Iterator[list[str]]]:
    """Yields the lines of a CSV file; what is no such file is an error that says so."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield csv.reader(file, strict=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: it lists {holds}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}; save it as comma-separated UTF-8 text") from error


def with_any(labels: Labels) -> Labels:
    """The labels with `any` set where a subtype is: the subtype was seen, so bleeding was."""
    return (1, *labels[1:]) if any(labels[1:]) else labels


def digest(items: Iterable[Item]) -> str:
    """SHA-256 over each item's site, name, size, time and labels; stats every file."""
    found = hashlib.sha256()
    for item in items:
        status = os.stat(item.path)
        line = (item.site, item.image, status.st_size, status.st_mtime_ns, item.labels)
        found.update(repr(line).encode())
    return found.hexdigest()
