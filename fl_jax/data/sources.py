"""A source lists which file is which image of which site, with its labels, before a pixel is read.

| layout | what it lists |
|---|---|
| `sites` | `<source>/<site>/input/labels.csv` and `<source>/<site>/input/data/<Image>.dcm` |

`labels.csv` has the columns `Image` and the six of `types.LABELS`, in any order; others are ignored.
What it may get wrong, and what happens then:

| fault | outcome |
|---|---|
| a column is missing or named twice; a line is too short or too long | error |
| a label is not 0 or 1 | error |
| a site is named like the hold-out in other letters (`Hold-out`), or `all_sites` | error |
| an image name is empty, or holds a path (`/`, `\\`, `..`, NUL) | error |
| an image is listed twice with other labels, or at two sites | error |
| an image is listed twice with the same labels | one line is dropped, counted |
| a subtype is 1 and `any` is 0 | `any` becomes 1, counted |
| a label without an image, an image without a label | left out, counted |
| Windows line ends, a byte-order mark, blanks around values, empty lines | accepted |
"""

import csv
import hashlib
import os
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fl_jax.types import LABELS

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
HOLDOUT = "holdout"
"""The site that no model is trained on."""
POOLED = "all_sites"
"""What the report calls the patients of all sites together."""


class Item(NamedTuple):
    """An image that has both a file and labels; `labels` are L values in {0, 1}."""

    path: str
    image: str
    site: str
    labels: tuple[int, ...]


class Listing(NamedTuple):
    """What a source holds.

    Attributes:
        items: the images, sorted by site and image.
        counts: per site, what was dropped or repaired: `labels_without_image`,
            `images_without_label`, `duplicate_labels`, `any_repaired`.
        digest: changes when a file's path, size or time, or a label changes.
    """

    items: list[Item]
    counts: dict[str, dict[str, int]]
    digest: str


def list_source(source: str | pathlib.Path, *, layout: str = "sites") -> Listing:
    """Lists a source without opening an image.

    Args:
        source: the folder.
        layout: a key of `LAYOUTS`.

    Returns:
        The listing; at least one item.

    Raises:
        ValueError: an unknown layout, a fault of the table above, or nothing to list.
        FileNotFoundError: source is not a folder.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: give one of {', '.join(LAYOUTS)}")
    source = pathlib.Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"source is {str(source)!r}, which is no folder")
    listing = LAYOUTS[layout](source)
    if not listing.items:
        raise ValueError(f"{source}: no image has both a label and a file; see layout {layout!r}")
    return listing


def _sites(source: pathlib.Path) -> Listing:
    """The study's layout: one folder a site."""
    folders = sorted(path for path in source.iterdir() if (path / "input").is_dir())
    if not folders:
        raise ValueError(
            f"{source}: no <site>/input folder in it; layout 'sites' needs "
            "<site>/input/labels.csv and <site>/input/data/<Image>.dcm"
        )
    items: list[Item] = []
    counts: dict[str, dict[str, int]] = {}
    owner: dict[str, str] = {}
    digest = hashlib.sha256()
    for folder in folders:
        site = folder.name
        _check_name(site)
        labels, tally = read_labels(folder / "input" / "labels.csv")
        files = _files(folder / "input" / "data")
        found = 0
        for image in sorted(labels.keys() & files.keys()):
            if image in owner:
                raise ValueError(
                    f"image {image!r} is at site {owner[image]!r} and at site {site!r}: an image "
                    "belongs to one site; rename or remove one of them"
                )
            owner[image] = site
            entry = files[image][0]
            found += len(files[image])
            if len(files[image]) > 1:
                raise ValueError(f"{folder}: {files[image]} are both image {image!r}; keep one")
            status = entry.stat()
            items.append(Item(entry.path, image, site, labels[image]))
            line = (site, entry.name, status.st_size, status.st_mtime_ns, labels[image])
            digest.update(repr(line).encode())
        counts[site] = dict(tally) | {
            "labels_without_image": len(labels.keys() - files.keys()),
            "images_without_label": sum(map(len, files.values())) - found,
        }
    return Listing(items, counts, digest.hexdigest())


def _check_name(site: str) -> None:
    if not SITE_NAME.fullmatch(site):
        raise ValueError(f"site folder {site!r}: use letters, digits, '_', '-' and '.' only")
    if site != HOLDOUT and re.sub(r"[_.-]", "", site).lower() == HOLDOUT:
        raise ValueError(
            f"site folder {site!r} would be trained on: rename it to {HOLDOUT!r} to hold it out, or "
            "otherwise to train on it"
        )
    if site.lower() == POOLED:
        raise ValueError(f"site folder {site!r}: the report calls all sites so; rename it")


def _files(folder: pathlib.Path) -> dict[str, list[os.DirEntry]]:
    """Regular files by the image they would be: the name without `.dcm`, in either case."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: put the site's <Image>.dcm files there")
    found: dict[str, list[os.DirEntry]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                image = entry.name[:-4] if entry.name.lower().endswith(".dcm") else entry.name
                found.setdefault(image, []).append(entry)
    return found


def read_labels(path: pathlib.Path) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Reads a `labels.csv`.

    Args:
        path: the file.

    Returns:
        The L labels by image, and the counts `duplicate_labels` and `any_repaired`.

    Raises:
        ValueError: a fault of the module's table, with file, line, value and remedy.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse(path, csv.reader(file, strict=True))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: it lists the site's images and labels") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}; save it as comma-separated UTF-8 text") from error


def _parse(
    path: pathlib.Path, lines: Iterable[list[str]]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    labels: dict[str, tuple[int, ...]] = {}
    tally = Counter(duplicate_labels=0, any_repaired=0)
    header: list[str] | None = None
    for number, row in enumerate(lines, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if header is None:
            header = cells
            for column in ("Image", *LABELS):
                if header.count(column) != 1:
                    raise ValueError(
                        f"{path}, line {number}: column {column!r} occurs {header.count(column)} "
                        f"times in {header}; each of Image, {', '.join(LABELS)} is needed once"
                    )
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} values under {len(header)} columns; "
                "quote values that hold a comma"
            )
        image, values = _line(f"{path}, line {number}", dict(zip(header, cells, strict=True)))
        if any(values[1:]) and not values[0]:
            values = (1, *values[1:])
            tally["any_repaired"] += 1
        if labels.setdefault(image, values) != values:
            raise ValueError(
                f"{path}, line {number}: image {image!r} is {values} here and {labels[image]} "
                "above; decide which is right and keep one line"
            )
        tally["duplicate_labels"] += 1
    if header is None:
        raise ValueError(f"{path}: empty; the first line must be Image,{','.join(LABELS)}")
    tally["duplicate_labels"] -= len(labels)
    return labels, dict(tally)


def _line(where: str, cells: dict[str, str]) -> tuple[str, tuple[int, ...]]:
    image = cells["Image"].removesuffix(".dcm")
    if image in ("", ".", "..") or re.search(r"[/\\\0]", image):
        raise ValueError(f"{where}: Image is {cells['Image']!r}; give a file's name without a path")
    for label in LABELS:
        if cells[label] not in ("0", "1"):
            raise ValueError(f"{where}: {label} is {cells[label]!r}; give 0 or 1")
    return image, tuple(int(cells[label]) for label in LABELS)


LAYOUTS: dict[str, Callable[[pathlib.Path], Listing]] = {"sites": _sites}
"""How to list a source, by name."""
