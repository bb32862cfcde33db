"""`summary.json`: what a dataset was built from, what each site contains, and digests of its tables."""

import pathlib
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from fl_jax.files.regular import sha256
from fl_jax.files.structs import read_struct

VERSION = "1.4.0"
"""Version of the on-disk format; `dataset.prepare` rebuilds a dataset of another version."""
REMEDY = "build the dataset anew with launch.prepare_data"
TABLES = ("slices/index.csv", "slices/duplicates.csv", "refused.csv")

Count = Annotated[int, Meta(ge=0)]


class Options(TypedDict):
    """Arguments of `dataset.prepare` that decide the content."""

    layout: str
    image_size: Annotated[int, Meta(ge=1)]
    repairs: list[str]


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


class Summary(TypedDict):
    """Content of `summary.json`.

    Attributes:
        version: `VERSION`.
        digest: of the source, see `sources.Listing`.
        options: arguments that decide the content.
        versions: versions of the packages that read the pixels.
        refused: share of files that were refused, in [0, 1].
        sites: counts by site.
        tables: SHA-256 by path, of `TABLES`.
    """

    version: str
    digest: str
    options: Options
    versions: dict[str, str]
    refused: Annotated[float, Meta(ge=0, le=1)]
    sites: dict[str, SiteCounts]
    tables: dict[str, str]


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
        ValueError: the file is malformed or of another version.
    """
    version = read_version(data_dir)
    if version not in (None, VERSION):
        raise ValueError(
            f"{data_dir}: dataset version {version or 'missing'}, this code reads {VERSION}; {REMEDY}"
        )
    return read_struct(pathlib.Path(data_dir) / "summary.json", Summary, remedy=REMEDY)


def table_digests(data_dir: pathlib.Path) -> dict[str, str]:
    """SHA-256 of each of `TABLES`."""
    return {name: sha256(data_dir / name) for name in TABLES}


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
    built = summary["tables"].get(name) if summary is not None else None
    if built is not None and built != sha256(data_dir / name):
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
