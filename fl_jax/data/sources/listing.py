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
ALL_SITES = "all_sites"
"""What the report calls the test patients of all sites together, so that no site may."""

LONGEST = 200
"""Characters of an image's name; file systems allow 255 bytes, its suffix included."""
SITE_LONGEST = 100
SITE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{SITE_LONGEST - 1}}}")
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
    """Refuses an image's name that is empty, holds a path, or is none that a file can have."""
    if image in ("", ".", "..") or re.search(r"[/\\]", image) or not image.isprintable():
        raise ValueError(
            f"{where}: image is {image[:80]!r}; give a file's name without a path or control characters"
        )
    if len(image) > LONGEST:
        raise ValueError(
            f"{where}: image {image[:40]!r}... has {len(image)} characters; a file's name has {LONGEST}"
        )


def check_site(where: str, site: str) -> None:
    """Refuses a site's name that could not be a folder's everywhere: models are kept by it."""
    if not SITE_NAME.fullmatch(site):
        raise ValueError(
            f"{where} {site[:80]!r}: use up to {SITE_LONGEST} letters, digits, '_', '-' and '.', "
            "and begin with a letter or digit"
        )


def file_names(folder: pathlib.Path, hint: str) -> list[str]:
    """Names of the regular files of a folder, sorted; opens none, stats links alone.

    Raises:
        ValueError: the folder is missing, or a file in it is a link that leads out of it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: {hint}")
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file()]
    for entry in files:
        if entry.is_symlink():
            check_link(entry.path, folder)
    return sorted(entry.name for entry in files)


def check_link(path: str, source: pathlib.Path) -> None:
    """Refuses a link to a file out of a folder: an archive may bring one to any file of the machine."""
    target = os.path.realpath(path)
    if not pathlib.Path(target).is_relative_to(os.path.realpath(source)):
        raise ValueError(
            f"{path}: is a link out of {source}, to {target}; put the file itself there"
        )


@contextlib.contextmanager
def table(path: pathlib.Path, holds: str) -> Iterator[Iterator[list[str]]]:
    """Yields the lines of a CSV file; what is no such file is an error that says so."""
    try:
        with csv_lines(path) as lines:
            yield lines
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: it lists {holds}") from error


@contextlib.contextmanager
def csv_lines(path: str | os.PathLike[str]) -> Iterator[Iterator[list[str]]]:
    """Yields the lines of a CSV file; raises ValueError, with its name, where it is no such text."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield csv.reader(file, strict=True)
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
