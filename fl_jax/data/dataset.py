"""Builds a dataset of int16 HU slices from DICOM files, once; `slices.load` opens it.

On disk, under `data_dir`:

    slices/                 pixel records, a TFDS dataset; record i is row i of the index; see `records`
    slices/index.csv        metadata of each slice, so that no pixels are read for it; see `index`
    slices/duplicates.csv   images whose picture occurs more than once; see `duplicates`
    refused.csv             site, path, reason and detail of each refused file
    summary.json            what the dataset was built from, counts by site, digests; see `metadata`
    refused_failed.csv      `refused.csv` of a build that failed because of too many refused files

A dataset is complete if and only if `summary.json` exists and all files are as it says. A build runs in
`building/`, deletes an old dataset once it has written everything, and moves the result into place, the
summary last. An interrupted build starts over.

`prepare` compares an existing dataset with what it was built from:

| what differs | outcome |
|---|---|
| nothing | kept |
| a file's name, size or time, a label, the layout, image size, spacing or a repair, the format | rebuilt |
| a file of the dataset is missing, or not as it was built | rebuilt |
| the version of fl_jax, pydicom, OpenCV, NumPy or TFDS | kept, with a message |
| the share of refused files exceeds `max_refused` | files are read again to report the reasons |
"""

import contextlib
import importlib.metadata
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data import dicom, duplicates, pseudonyms, sources
from fl_jax.data.counts import Counts, TooManyRefusedError
from fl_jax.data.index import COLUMNS
from fl_jax.data.metadata import (
    REMEDY,
    VERSION,
    Options,
    Summary,
    check_field_of_view,
    damage,
    difference,
    file_digests,
    read_summary,
    read_version,
    seal,
)
from fl_jax.data.names import check_names
from fl_jax.data.records import Writer
from fl_jax.data.slices import UNKNOWN
from fl_jax.files import csv_table, folders, locks
from fl_jax.files.atomic import atomic_open, sync, write_json

PACKAGES = ("fl_jax", "pydicom", "opencv-python-headless", "numpy", "tensorflow-datasets")
"""Packages that may affect pixels."""
FAILED = "refused_failed.csv"
_OURS = re.compile(
    r"(slices|building)/((index|duplicates|refused)\.csv|(features|dataset_info|summary)\.json"
    r"|ct_slices-slices\.array_record-\d+)(\.partial)?"
)
"""Files that a build writes."""

Progress = Callable[[int, int], None]
"""`progress(files done, files in all)`."""


def prepare(
    source: str | pathlib.Path,
    *,
    layout: str = "sites",
    data_dir: str | pathlib.Path,
    image_size: int,
    spacing_mm: float = 0.0,
    max_refused: float = 0.01,
    workers: int | None = None,
    repairs: frozenset[dicom.Repair] = dicom.ALL_REPAIRS,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Summary:
    """Builds the dataset unless it is already complete.

    Guarantees:
        A complete dataset of the same source, options and version is left unchanged. A failed build leaves
        the dataset that was there before; a killed one leaves that or none. Nothing but files of a dataset
        is deleted, and only in a folder that an earlier call made. The dataset does not depend on `workers`.

    Args:
        source: the source folder.
        layout: a key of `sources.LAYOUTS`.
        data_dir: folder of the dataset, outside of the source: new, empty, or of an earlier call.
        image_size: H = W in pixels.
        spacing_mm: mm a pixel, slices being centred on the head, see `dicom.resample`; files are then read
            twice, first for the heads' places. 0 fits each file's whole field of view into the image.
        max_refused: the largest permitted share of refused files, in [0, 1].
        workers: worker processes, see `dicom.read_all`.
        repairs: permitted repairs, see `dicom.refusal`.
        progress: called after each file.
        say: called with a sentence if an existing dataset is rebuilt, or kept with other package versions.

    Returns:
        The content of `summary.json`.

    Raises:
        TooManyRefusedError: after all files were read; names the commonest reason and its first files.
            `refused_failed.csv` lists all.
        ValueError: a bad argument, a fault of the source, a patient or a picture at two sites, a source that
            changes during the build, other files in `data_dir`, or another process that builds there.
        OSError: `data_dir` cannot be written, with the reason.
    """
    if not 0 <= max_refused <= 1:
        raise ValueError(f"max_refused is {max_refused}: give a share from 0 to 1")
    if image_size < 1:
        raise ValueError(f"image_size is {image_size}: give the side in pixels")
    check_field_of_view(image_size, spacing_mm)
    data_dir = pathlib.Path(data_dir)
    _check_apart(pathlib.Path(source), data_dir)
    listing = sources.list_source(source, layout=layout)
    options = Options(
        layout=layout,
        image_size=image_size,
        repairs=sorted(repair.name for repair in repairs),
        spacing_mm=float(spacing_mm),
    )
    summary, _ = _existing(data_dir, listing.digest, options, max_refused)
    if summary is None:
        folders.claim(data_dir, "dataset", flag="--data_dir")
        with locks.lock(data_dir, "dataset", flag="--data_dir"):
            summary, stale = _existing(data_dir, listing.digest, options, max_refused)
            if summary is None:
                if stale:
                    say(f"{data_dir}: {stale}: built anew")
                check_names(listing.items)
                paths = [item.path for item in listing.items]
                read_all = partial(
                    dicom.read_all, paths, workers=workers, repairs=repairs, spacing_mm=spacing_mm
                )
                centres = None
                if spacing_mm:
                    progress = _by_halves(progress)
                    centres = _centres(read_all(size=1), progress, len(paths), say)
                reads = read_all(size=image_size, centres=centres)
                return _build(
                    data_dir, listing, options, Counts(listing, max_refused), reads, progress
                )
    changed = difference(summary["versions"], _versions())
    if changed:
        say(f"{data_dir}: {changed}: kept; remove the folder to build it anew")
    return summary


def _by_halves(progress: Progress | None) -> Progress | None:
    """Progress of two passes over the files as one of twice as many."""
    done_before = 0

    def report(done: int, total: int) -> None:
        nonlocal done_before
        assert progress is not None
        progress(done_before + done, 2 * total)
        if done == total:
            done_before = total

    return progress and report


def _centres(
    reads: Iterator[dicom.Slice | dicom.Refusal],
    progress: Progress | None,
    total: int,
    say: Callable[[str], None],
) -> list[dicom.Centre]:
    """The first pass: where to centre each file's slice."""
    found, planes = dicom.Centres(), dicom.Planes()
    for done, read in enumerate(reads, 1):
        if isinstance(read, dicom.Refusal):
            found.add(None, dicom.NO_SKULL)
        else:
            series = planes.series(read.series, read.normal)
            found.add((read.study, series, read.shape, read.spacing), read.head[2:])
        if progress:
            progress(done, total)
    centres, groups, without = found.all()
    if without:
        say(
            f"{without} of {groups} series show too little skull: centred on the picture, not the head"
        )
    return centres


def _check_apart(source: pathlib.Path, data_dir: pathlib.Path) -> None:
    """Raises ValueError if one of the folders is or contains the other, links resolved."""
    read, written = (pathlib.Path(os.path.realpath(folder)) for folder in (source, data_dir))
    if read.is_relative_to(written) or written.is_relative_to(read):
        raise ValueError(
            f"data_dir is {data_dir} and source is {source}: one is or contains the other; give a data_dir "
            "outside of the source"
        )


def _check_ours(data_dir: pathlib.Path) -> None:
    folders.check_ours(data_dir, ("slices", "building"), _OURS)


def _existing(
    data_dir: pathlib.Path, digest: str, options: Options, max_refused: float
) -> tuple[Summary | None, str]:
    """The summary of a dataset that can be kept, or why there is none; "" if there is no dataset at all."""
    try:
        version = read_version(data_dir)
        if version != VERSION:
            return None, "" if version is None else f"version was {version}, is {VERSION}"
        summary = read_summary(data_dir)
    except ValueError as error:
        return None, str(error).removesuffix(f"; {REMEDY}")
    if summary is None:  # deleted just now
        return None, ""
    stale = difference(summary, {"digest": digest, "options": options})
    if not stale and summary["refused"] > max_refused:
        stale = "more was refused than max_refused allows"
    stale = stale or damage(data_dir, summary, shards=True)
    return (None, stale) if stale else (summary, "")


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _build(
    data_dir: pathlib.Path,
    listing: sources.Listing,
    options: Options,
    counts: Counts,
    reads: Iterator[dicom.Slice | dicom.Refusal],
    progress: Progress | None,
) -> Summary:
    """Builds the dataset in `building/`, then replaces the one in `slices/`."""
    building, final = data_dir / "building", data_dir / "slices"
    _check_ours(data_dir)
    folders.remove(building, "dataset")
    folders.make(building)
    try:
        _write(listing, options["image_size"], reads, progress, building, counts)
        sources.check_unchanged(listing)
        counts.write_refused(building / "refused.csv")
        summary = Summary(
            version=VERSION,
            digest=listing.digest,
            options=options,
            versions=_versions(),
            refused=len(counts.refused) / counts.total,
            sites=counts.sites(),
            files=file_digests(building),
            seal="",
        )
        summary["seal"] = seal(summary)
        write_json(building / "summary.json", summary)
        for path in building.iterdir():
            sync(path)
        _check_ours(data_dir)
        (data_dir / "summary.json").unlink(missing_ok=True)
        folders.remove(final, "dataset")
        os.replace(building, final)
        for name in ("refused.csv", "summary.json"):
            os.replace(final / name, data_dir / name)
        sync(data_dir)
    except TooManyRefusedError:
        counts.write_refused(data_dir / FAILED)
        raise
    finally:
        with contextlib.suppress(OSError, ValueError):
            folders.check_ours(data_dir, ("building",), _OURS)
            folders.remove(building, "dataset")
    (data_dir / FAILED).unlink(missing_ok=True)
    return summary


def _write(
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
        *(f"{value:.1f}" for value in read.head),
        *read.centre,
        *(read.tilt, dialect.bits_stored, int(dialect.signed), dialect.slope, dialect.intercept),
        *(dialect.kernel, dialect.manufacturer, dialect.transfer_syntax),
        ";".join(repair.name for repair in read.repairs),
        *(item.labels or [""] * len(LABELS)),
    ]
