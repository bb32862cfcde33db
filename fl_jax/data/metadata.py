"""`summary.json`: what a dataset was built from, what each site contains, and digests of all files.

Digests show damage, mixed-up files and edits. They are no signature: whoever changes a dataset on purpose can
change its digests too.
"""

import hashlib
import json
import pathlib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from fl_jax.data.site_names import SITE_NAME
from fl_jax.files.regular import sha256
from fl_jax.files.structs import read_struct
from fl_jax.files.text import printable

VERSION = "1.5.0"
"""Version of the on-disk format; `dataset.prepare` rebuilds a dataset of another version."""
REMEDY = "build the dataset anew with launch.prepare_data"
TABLES = ("slices/index.csv", "slices/duplicates.csv", "refused.csv")
FILES = (*TABLES, "slices/features.json", "slices/dataset_info.json")
"""All files of a dataset but `summary.json` and the record shards."""
SHARD = re.compile(r"slices/ct_slices-slices\.array_record-\d+")

SMALLEST_VIEW, LARGEST_VIEW = 180.0, 1000.0
"""Bounds of an image's field of view, mm; heads are 140 to 170 wide and 180 to 210 long."""

Count = Annotated[int, Meta(ge=0)]


class Options(TypedDict):
    """Arguments of `dataset.prepare` that decide the content."""

    layout: str
    image_size: Annotated[int, Meta(ge=1, le=65535)]
    repairs: list[str]
    spacing_mm: Annotated[float, Meta(ge=0, le=100)]


class Positives(TypedDict):
    """Positive slices by label."""

    any: Count
    epidural: Count
    intraparenchymal: Count
    intraventricular: Count
    subarachnoid: Count
    subdural: Count


class SiteCounts(TypedDict):
    """Counts of one site: refused files by reason, repaired slices by repair; see also `listing.COUNTS`."""

    patients: Count
    studies: Count
    slices: Count
    positives: Positives
    refused: dict[str, Count]
    repairs: dict[str, Count]
    shared_pictures: Count
    linked_patients: Count
    duplicate_labels: Count
    any_repaired: Count
    labels_without_image: Count
    images_without_label: Count


class File(TypedDict):
    """Size and SHA-256 of a file."""

    bytes: Count
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Summary(TypedDict):
    """Content of `summary.json`.

    Attributes:
        version: `VERSION`.
        digest: of the source, see `sources.Listing`.
        options: arguments that decide the content.
        versions: versions of the packages that read the pixels.
        refused: share of files that were refused, in [0, 1].
        sites: counts by site.
        files: by path, `FILES` and the record shards.
        seal: SHA-256 of all of the above.
    """

    version: str
    digest: str
    options: Options
    versions: dict[str, str]
    refused: Annotated[float, Meta(ge=0, le=1)]
    sites: dict[str, SiteCounts]
    files: dict[str, File]
    seal: str


class _Versioned(msgspec.Struct):
    version: str = ""


def read_version(data_dir: str | pathlib.Path) -> str | None:
    """The format version of the dataset under `data_dir`; None if there is no complete dataset.

    Raises:
        ValueError: `summary.json` is malformed.
    """
    path = pathlib.Path(data_dir) / "summary.json"
    versioned = read_struct(path, _Versioned, remedy=REMEDY)
    return None if versioned is None else versioned.version


def read_summary(data_dir: str | pathlib.Path) -> Summary | None:
    """Reads `summary.json`; None if there is no complete dataset.

    Raises:
        ValueError: the file is malformed, of another version, or has changed since it was built.
    """
    version = read_version(data_dir)
    if version not in (None, VERSION):
        raise ValueError(
            f"{data_dir}: dataset version {version or 'missing'}, this code reads {VERSION}; {REMEDY}"
        )
    path = pathlib.Path(data_dir) / "summary.json"
    summary = read_struct(path, Summary, remedy=REMEDY)
    if summary is not None:
        _check(path, summary)
    return summary


def _check(path: pathlib.Path, summary: Summary) -> None:
    names = {name for name in summary["files"] if not SHARD.fullmatch(name)}
    if names != {*FILES} or len(names) == len(summary["files"]):
        raise ValueError(f"{path}: files does not list a dataset's files; {REMEDY}")
    for site in summary["sites"]:
        if not SITE_NAME.fullmatch(site):
            raise ValueError(
                f"{path}: sites has {printable(site)!r}, which is no site's name; {REMEDY}"
            )
    if summary["seal"] != seal(summary):
        raise ValueError(f"{path}: has changed since it was built, by its seal; {REMEDY}")


def check_field_of_view(image_size: int, spacing_mm: float) -> None:
    """Checks that a head fits into images of fixed mm a pixel.

    Raises:
        ValueError: the images show less than `SMALLEST_VIEW` mm.
    """
    if spacing_mm and not SMALLEST_VIEW <= image_size * spacing_mm <= LARGEST_VIEW:
        raise ValueError(
            f"spacing_mm={spacing_mm:g} with image_size={image_size}: shows {image_size * spacing_mm:g} mm, "
            f"and a head needs {SMALLEST_VIEW:g} to {LARGEST_VIEW:g}; 0 fits each file's field of view"
        )


def seal(summary: Summary) -> str:
    """SHA-256 of a summary without its seal."""
    content = {name: value for name, value in summary.items() if name != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_digests(folder: pathlib.Path) -> dict[str, File]:
    """Size and SHA-256 of each file of a dataset that is built in `folder`, by its later path."""
    paths = sorted(folder.iterdir())
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        digests = [*pool.map(sha256, paths)]
    return {
        path.name if path.name in FILES else f"slices/{path.name}": File(
            bytes=path.stat().st_size, sha256=digest
        )
        for path, digest in zip(paths, digests, strict=True)
    }


def damage(data_dir: pathlib.Path, summary: Summary, *, shards: bool) -> str:
    """Describes the first file that is missing or differs from the summary; empty if there is none.

    Args:
        data_dir: the dataset's folder.
        summary: its summary.
        shards: whether to read the record shards too, and not only compare their sizes.
    """

    def fault(name: str, built: File) -> str:
        path = data_dir / name
        try:
            size = path.stat().st_size
            if size != built["bytes"]:
                return f"{name} has {size} bytes, was built with {built['bytes']}"
            if not shards and SHARD.fullmatch(name):
                return ""
            same = sha256(path) == built["sha256"]
            return "" if same else f"{name} has changed since it was built, by its SHA-256"
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, ValueError) as error:
            return str(error)

    with ThreadPoolExecutor() as pool:
        faults = pool.map(fault, summary["files"].keys(), summary["files"].values())
        return next(filter(None, faults), "")


def check_digest(data_dir: pathlib.Path, name: str) -> None:
    """Checks a table against its digest in `summary.json`, if that exists.

    A table alone cannot show that its last rows are missing or that a label has changed.

    Args:
        data_dir: the dataset's folder.
        name: one of `TABLES`.

    Raises:
        ValueError: the table has changed since it was built.
    """
    summary = read_summary(data_dir)
    if summary is not None and summary["files"][name]["sha256"] != sha256(data_dir / name):
        raise ValueError(
            f"{data_dir / name}: has changed since it was built, by its SHA-256 in summary.json; {REMEDY}"
        )


def difference(built: Any, now: Any) -> str:
    """Describes what differs between nested dicts of values; empty if all of `now` is in `built`."""
    parts = []
    for name, value in now.items():
        before = built.get(name)
        if isinstance(value, dict):
            parts.append(difference(before or {}, value))
        elif before != value:
            changed = name == "digest"
            parts.append(
                "the source has changed" if changed else f"{name} was {before}, is {value}"
            )
    return ", ".join(filter(None, parts))
