"""Layout `sites`: `<site>/input/labels.csv` and `<site>/input/data/<Image>.dcm`, as in the published study.

`labels.csv` has the columns `Image` and the six of `types.LABELS` in any order; others are ignored. Faults
and outcomes:

| fault | outcome |
|---|---|
| a column is missing or named twice; a row has too few or too many values | error |
| a label is not 0 or 1 | error |
| a site's name is a variant of the hold-out's (`Hold-out`), or `all_sites` | error |
| an image's name is empty, too long, or contains a path (`/`, `\\`, `..`) or a control character | error |
| a file or folder is a link out of the folder above it | error |
| two sites' names differ in case only, or a name is none on Windows (`aux`, `a.`) | error |
| an image is listed twice with other labels, or at two sites | error |
| an image is listed twice with the same labels | one row dropped, counted |
| a subtype is 1 and `any` is 0 | `any` set to 1, counted |
| a label without an image, an image without a label | left out, counted |
| Windows line ends, a byte-order mark, blanks around values, empty lines | accepted |
"""

import pathlib
import re
from collections import Counter
from collections.abc import Iterable

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import ALL_SITES, HOLDOUT, check_sites
from fl_jax.data.sources.listing import (
    Item,
    Labels,
    Listing,
    check_image,
    digest,
    file_names,
    image_of,
    label_rows,
    shown,
    with_any,
)
from fl_jax.files.links import check_link


def site_folders(source: pathlib.Path) -> Listing:
    """Lists site folders.

    Raises:
        ValueError: an error of the module's table.
    """
    folders = site_paths(source)
    if not folders:
        raise ValueError(
            f"{source}: no <site>/input folder in it; layout 'sites' needs "
            "<site>/input/labels.csv and <site>/input/data/<Image>.dcm"
        )
    items: list[Item] = []
    counts: dict[str, dict[str, int]] = {}
    site_of: dict[str, str] = {}
    check_sites("site folder", (folder.name for folder in folders))
    for folder in folders:
        site = folder.name
        _check_name(site)
        labels, label_counts = read_labels(folder / "input" / "labels.csv")
        files = _files(folder / "input" / "data")
        for image in sorted(labels.keys() & files.keys()):
            if site_of.setdefault(image, site) != site:
                raise ValueError(
                    f"image {image!r} is at site {site_of[image]!r} and at site {site!r}: an image "
                    "belongs to one site; rename or remove one of them"
                )
            if len(files[image]) > 1:
                raise ValueError(f"{folder}: {files[image]} are both image {image!r}; keep one")
            path = f"{folder}/input/data/{files[image][0]}"
            items.append(Item(path, image, site, labels[image]))
        counts[site] = label_counts | {
            "labels_without_image": len(labels.keys() - files.keys()),
            "images_without_label": sum(len(files[i]) for i in files.keys() - labels.keys()),
        }
    return Listing(items, counts, digest(items))


def site_paths(source: pathlib.Path) -> list[pathlib.Path]:
    """The sorted folders of sites.

    Raises:
        ValueError: one is a link out of the source, perhaps to a disk that is not mounted.
    """
    paths = sorted(source.iterdir())
    for path in paths:
        if path.is_symlink() and not path.is_file():
            check_link(path, source)
    folders = [path for path in paths if (path / "input").is_dir()]
    for folder in folders:
        check_link(folder / "input", source)
    return folders


def _check_name(site: str) -> None:
    if site != HOLDOUT and re.sub(r"[_.-]", "", site).lower() == HOLDOUT:
        raise ValueError(
            f"site folder {site!r} would be trained on: rename it to {HOLDOUT!r} to hold it out, or "
            "otherwise to train on it"
        )
    if site.lower() == ALL_SITES:
        raise ValueError(
            f"site folder {site!r}: the report uses this name for all sites; rename it"
        )


def _files(folder: pathlib.Path) -> dict[str, list[str]]:
    """The names of a folder's files, by image."""
    names: dict[str, list[str]] = {}
    for name in file_names(folder, "put the site's <Image>.dcm files there"):
        names.setdefault(image_of(name), []).append(name)
    return names


def read_labels(path: pathlib.Path) -> tuple[dict[str, Labels], dict[str, int]]:
    """Reads a `labels.csv`.

    Args:
        path: the file.

    Returns:
        The L labels by image, and the counts `duplicate_labels` and `any_repaired`.

    Raises:
        ValueError: an error of the module's table, with file, line, value and remedy.
    """
    with label_rows(path) as rows:
        return _parse(path, rows)


def _parse(
    path: pathlib.Path, rows: Iterable[list[str]]
) -> tuple[dict[str, Labels], dict[str, int]]:
    labels: dict[str, Labels] = {}
    counts = Counter(duplicate_labels=0, any_repaired=0)
    header: list[str] | None = None
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if header is None:
            header = cells
            commas = "; separate them by commas, not ';' or tabs" if len(header) == 1 else ""
            for column in ("Image", *LABELS):
                if header.count(column) != 1:
                    raise ValueError(
                        f"{path}, line {number}: column {column!r} occurs {header.count(column)} "
                        f"times among {len(header)}; each of Image, {', '.join(LABELS)} is needed once"
                        f"{commas}"
                    )
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} values under {len(header)} columns; "
                "quote values that contain a comma"
            )
        image, values = _row(f"{path}, line {number}", dict(zip(header, cells, strict=True)))
        counts["any_repaired"] += with_any(values) != values
        values = with_any(values)
        if labels.setdefault(image, values) != values:
            raise ValueError(
                f"{path}, line {number}: image {image!r} is {values} here and {labels[image]} "
                "above; decide which is right and keep one line"
            )
        counts["duplicate_labels"] += 1
    if header is None:
        raise ValueError(f"{path}: empty; the first line must be Image,{','.join(LABELS)}")
    counts["duplicate_labels"] -= len(labels)
    return labels, dict(counts)


def _row(where: str, cells: dict[str, str]) -> tuple[str, Labels]:
    image = cells["Image"].removesuffix(".dcm")
    check_image(where, image)
    for label in LABELS:
        if cells[label] not in ("0", "1"):
            raise ValueError(f"{where}: {label} is {shown(cells[label])}; give 0 or 1")
    return image, tuple(int(cells[label]) for label in LABELS)
