"""Builds a dataset of int16 HU slices from DICOM files, once; `slices.load` opens it.

On disk, under `data_dir`:

    slices/                 pixel records, a TFDS dataset; record i is row i of the index; see `records`
    slices/index.csv        metadata of each slice, so that no pixels are read for it; see `index`
    slices/duplicates.csv   images whose picture occurs more than once; see `duplicates`
    refused.csv             site, path, reason and detail of each file that the last build refused
    summary.json            what the dataset was built from, counts by site, digests; see `metadata`

A dataset is complete if and only if `summary.json` exists. A build runs in `building/`, deletes an old
summary, moves the result into place and writes the summary last. An interrupted build starts over.

`prepare` compares an existing dataset with what it was built from:

| what differs | outcome |
|---|---|
| nothing | kept |
| a file's name, size or time, a label, the layout, the image size, a repair, the format's version | rebuilt |
| the version of fl_jax, pydicom, OpenCV, NumPy or TFDS | kept, with a message |
| the share of refused files exceeds `max_refused` | files are read again to report the reasons |
"""

import contextlib
import importlib.metadata
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data import dicom, duplicates, pseudonyms, sources
from fl_jax.data.counts import Counts
from fl_jax.data.index import COLUMNS
from fl_jax.data.metadata import (
    VERSION,
    Options,
    Summary,
    difference,
    read_summary,
    read_version,
    table_digests,
)
from fl_jax.data.records import Writer
from fl_jax.data.slices import UNKNOWN
from fl_jax.files import csv_table
from fl_jax.files.atomic import atomic_open, write_json

PACKAGES = ("fl_jax", "pydicom", "opencv-python-headless", "numpy", "tensorflow-datasets")
"""Packages that may affect pixels."""

Progress = Callable[[int, int], None]
"""`progress(files done, files in all)`."""


def prepare(
    source: str | pathlib.Path,
    *,
    layout: str = "sites",
    data_dir: str | pathlib.Path,
    image_size: int,
    max_refused: float = 0.01,
    workers: int | None = None,
    repairs: frozenset[dicom.Repair] = dicom.ALL_REPAIRS,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Summary:
    """Builds the dataset unless it is already complete.

    Guarantees:
        A complete dataset of the same source, options and version is left unchanged. A failed or killed build
        leaves no dataset that `slices.load` accepts. The dataset does not depend on `workers`.

    Args:
        source: the source folder.
        layout: a key of `sources.LAYOUTS`.
        data_dir: folder of the dataset.
        image_size: H = W in pixels.
        max_refused: the largest permitted share of refused files, in [0, 1].
        workers: worker processes, see `dicom.read_all`.
        repairs: permitted repairs, see `dicom.refusal`.
        progress: called after each file.
        say: called with a sentence if an existing dataset is rebuilt, or kept with other package versions.

    Returns:
        The content of `summary.json`.

    Raises:
        TooManyRefusedError: after all files were read; names the commonest reason and its first files.
            `refused.csv` lists all.
        ValueError: a bad argument, a fault of the source, or a patient or a picture at two sites.
    """
    if not 0 <= max_refused <= 1:
        raise ValueError(f"max_refused is {max_refused}: give a share from 0 to 1")
    if image_size < 1:
        raise ValueError(f"image_size is {image_size}: give the side in pixels")
    data_dir = pathlib.Path(data_dir)
    listing = sources.list_source(source, layout=layout)
    options = Options(
        layout=layout, image_size=image_size, repairs=sorted(repair.name for repair in repairs)
    )
    summary = _existing(data_dir, listing.digest, options, max_refused, say)
    if summary is not None:
        return summary
    building, final = data_dir / "building", data_dir / "slices"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    counts = Counts(listing, max_refused)
    paths = [item.path for item in listing.items]
    reads = dicom.read_all(paths, size=image_size, workers=workers, repairs=repairs)
    try:
        _build(listing, image_size, reads, progress, building, counts)
        (data_dir / "summary.json").unlink(missing_ok=True)
        if final.exists():
            shutil.rmtree(final)
        os.replace(building, final)
    finally:
        counts.write_refused(data_dir / "refused.csv")
        shutil.rmtree(building, ignore_errors=True)
    summary = Summary(
        version=VERSION,
        digest=listing.digest,
        options=options,
        versions=_versions(),
        refused=len(counts.refused) / counts.total,
        sites=counts.sites(),
        tables=table_digests(data_dir),
    )
    write_json(data_dir / "summary.json", summary)
    return summary


def _existing(
    data_dir: pathlib.Path,
    digest: str,
    options: Options,
    max_refused: float,
    say: Callable[[str], None],
) -> Summary | None:
    """The summary of a dataset that can be kept."""
    version = read_version(data_dir)
    if version is None:
        return None
    stale = difference({"version": version}, {"version": VERSION})
    summary = None if stale else read_summary(data_dir)
    if summary is not None:
        stale = difference(summary, {"digest": digest, "options": options})
        if not stale and summary["refused"] <= max_refused:
            changed = difference(summary["versions"], _versions())
            if changed:
                say(f"{data_dir}: {changed}: kept; remove the folder to build it anew")
            return summary
    say(f"{data_dir}: {stale or 'more was refused than max_refused allows'}: built anew")
    return None


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _build(
    listing: sources.Listing,
    size: int,
    reads: Iterator[dicom.Slice | dicom.Refusal],
    progress: Progress | None,
    folder: pathlib.Path,
    counts: Counts,
) -> None:
    """Writes records, index and duplicates into `folder`."""
    index, numbers, planes = folder / "index.csv", pseudonyms.Numbers(), dicom.Planes()
    with Writer(folder, size) as records, atomic_open(index) as file:
        writer = csv_table.writer(file)
        writer.writerow(COLUMNS)
        for done, (item, read) in enumerate(zip(listing.items, reads, strict=True), 1):
            if isinstance(read, dicom.Refusal):
                counts.refuse(item, read)
            else:
                read = read._replace(series=planes.series(read.series, read.normal))
                counts.accept(item, read)
                writer.writerow(_index_row(item, read, numbers))
                labels = np.array(item.labels or [UNKNOWN] * len(LABELS), np.int8)
                records.add(item.image, read.hu, labels)
            if progress:
                progress(done, counts.total)
    counts.finish()
    numbers.rewrite(index)
    patients = numbers.patients()
    copies = (copy._replace(patient=patients[copy.patient]) for copy in counts.copies)
    duplicates.write(folder / "duplicates.csv", copies)


def _index_row(item: sources.Item, read: dicom.Slice, numbers: pseudonyms.Numbers) -> list[Any]:
    """A row of the index, in the order of `COLUMNS`, with provisional numbers of patient, study, series."""
    dialect = read.dialect
    return [
        *(item.image, *numbers.provisional(read.patient, read.study, read.series), item.site),
        *(read.position, read.thickness, read.instance, *read.shape, *read.spacing),
        *(read.tilt, dialect.bits_stored, int(dialect.signed), dialect.slope, dialect.intercept),
        *(dialect.kernel, dialect.manufacturer, dialect.transfer_syntax),
        ";".join(repair.name for repair in read.repairs),
        *(item.labels or [""] * len(LABELS)),
    ]
