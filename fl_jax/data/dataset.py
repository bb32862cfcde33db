"""A TFDS dataset of int16 HU slices, built once from a source and opened without TensorFlow.

On disk, under `data_dir`:

    slices/                 the TFDS dataset, array_record: image, HU, labels; record i is row i
    slices/index.csv        every fact about every slice, so that metadata needs no pixel pass
    slices/duplicates.csv   the images whose picture another image has too; see `duplicates`
    refused.csv             site, path, reason and detail of each file that the last build refused
    summary.json            what it was built from and what each site holds; written last

A dataset is whole if and only if `summary.json` is there: the build happens in `building/`, is moved
into place, and the summary comes last; it is the first to go when a dataset is replaced. What is
found half built is removed and built anew.

What a dataset was built from is compared whenever it is prepared again:

| what differs | outcome |
|---|---|
| nothing | the dataset is left as it is |
| a file's name, size or time, a label; the layout; the image size; the dataset's version | built anew, said |
| the version of fl_jax, pydicom, OpenCV, NumPy or TFDS | left as it is, said |
| the share of refused files is over `max_refused` | read again, which tells the reasons |

Memory does not grow with the pictures, but for the first 1 GB of them, which TFDS keeps. Beside the
listing it is some 130 bytes a file: 50,000 files were read at one rate, 4,700 a second of 64 x 64 on
two cores, in 7 MB more than 5,000 of them.
"""

import contextlib
import csv
import importlib.metadata
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data import dicom, duplicates, pseudonyms, sources
from fl_jax.data.counts import RefusedError, Tally
from fl_jax.data.index import COLUMNS, VERSION, Summary, digests, read_summary
from fl_jax.data.slices import SPLIT, UNKNOWN, Slices, load
from fl_jax.files.atomic import atomic_open
from fl_jax.files.extras import extra

with extra("ct"):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.writer import ExampleWriter

__all__ = ["CtSlices", "RefusedError", "Slices", "Summary", "load", "prepare", "read_summary"]

VERSIONS = ("fl_jax", "pydicom", "opencv-python-headless", "numpy", "tensorflow-datasets")
"""What has a hand in the pixels."""

Progress = Callable[[int, int], None]
"""Called with (files or records done, files or records in all)."""


class _CountingWriter(ExampleWriter):
    """TFDS's writer of a shard, which tells how many records of all it has written."""

    def __init__(self, file_format: Any, tick: Callable[[], None]) -> None:
        super().__init__(file_format)
        self._tick = tick

    def write(self, path: Any, examples: Iterable[Any]) -> Any:
        def counted() -> Iterator[Any]:
            for example in examples:
                yield example
                self._tick()

        return super().write(path, counted())


class CtSlices(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder; `prepare` gives it the slices, in the order of the rows."""

    VERSION = tfds.core.Version(VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Give the source's folder to fl_jax.data.dataset.prepare."

    def __init__(
        self,
        *,
        size: int,
        examples: Callable[[], Iterator[Any]] | None = None,
        copied: Callable[[], None] = lambda: None,
        **kwargs,
    ):
        self._size, self._examples, self._copied = size, examples, copied
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        pixels = tfds.features.Tensor(
            shape=(self._size, self._size), dtype=np.int16, encoding=tfds.features.Encoding.BYTES
        )
        labels = tfds.features.Tensor(shape=(len(LABELS),), dtype=np.int8)
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Text(), "hu": pixels, "labels": labels}
            ),
            disable_shuffling=True,  # record i is line i of the index
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {SPLIT: self._generate_examples()}

    def _example_writer(self) -> ExampleWriter:
        return _CountingWriter(self.info.file_format, self._copied)

    def _log_download_bytes(self) -> None:
        """Prints nothing: a library does not."""

    def _log_download_done(self) -> None:
        """Prints nothing: a library does not."""

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self._examples is None:
            raise ValueError("examples is None: build with fl_jax.data.dataset.prepare")
        return self._examples()


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
    copied: Progress | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Summary:
    """Builds the dataset, or finds that it is already there.

    Guarantees:
        A complete dataset of the same source, options and version is left as it is. A build that
        fails or is killed leaves no dataset that `load` would take. Rows, and so the dataset, do
        not depend on `workers`.

    Args:
        source: the folder to build from.
        layout: how it is laid out; see `sources.LAYOUTS`.
        data_dir: where the dataset goes.
        image_size: H = W, pixels.
        max_refused: the largest share of files that may be refused, in [0, 1].
        workers: reading processes; see `dicom.read_all`.
        repairs: which faults of files may be put right; see `dicom.refusal`.
        progress: called as files are read.
        copied: called as the records, which TFDS sorts when all are read, are written to their place.
        say: told in a sentence why a dataset that is there is built anew, or kept though the
            versions changed.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        RefusedError: too many files refused, after all were read; names the commonest reason and
            its first files, and leaves `refused.csv`.
        ValueError: a bad argument, a fault of the source, or a patient or a picture at two sites.
    """
    if not 0 <= max_refused <= 1:
        raise ValueError(f"max_refused is {max_refused}: give a share from 0 to 1")
    if image_size < 1:
        raise ValueError(f"image_size is {image_size}: give the side in pixels")
    data_dir = pathlib.Path(data_dir)
    listing = sources.list_source(source, layout=layout)
    key = {
        "version": VERSION,
        "digest": listing.digest,
        "options": {
            "layout": layout,
            "image_size": image_size,
            "repairs": sorted(repair.name for repair in repairs),
        },
    }
    done = read_summary(data_dir)
    if done is not None:
        stale = _differences(done, key)
        if not stale and done["refused"] <= max_refused:  # of this version, and so whole
            changed = _differences(done["versions"], _versions())
            if changed:
                say(f"{data_dir}: {changed}: kept; remove the folder to build it anew")
            return done
        say(f"{data_dir}: {stale or 'more was refused than max_refused allows'}: built anew")
    building, final = data_dir / "building", data_dir / "slices"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    tally = Tally(listing, max_refused)
    paths = [item.path for item in listing.items]
    reads = dicom.read_all(paths, size=image_size, workers=workers, repairs=repairs)
    try:
        made = _build(listing, image_size, reads, progress, copied, building, tally)
        (data_dir / "summary.json").unlink(missing_ok=True)
        if final.exists():
            shutil.rmtree(final)
        os.replace(made, final)
    finally:
        tally.write_refused(data_dir / "refused.csv")
        shutil.rmtree(building, ignore_errors=True)
    summary = key | {"versions": _versions()} | tally.summary() | {"tables": digests(data_dir)}
    with atomic_open(data_dir / "summary.json") as file:
        file.write(json.dumps(summary, indent=1) + "\n")
    return summary


def _versions() -> dict[str, str]:
    found = {}
    for package in VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _differences(built: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words; nothing where all of `now` is as it was. A digest needs no value."""
    said = []
    for name, value in now.items():
        was = built.get(name)
        if isinstance(value, dict):
            said.append(_differences(was or {}, value))
        elif was != value:
            plain = name == "digest"
            said.append("the source has changed" if plain else f"{name} was {was}, is {value}")
    return ", ".join(filter(None, said))


def _build(
    listing: sources.Listing,
    size: int,
    reads: Iterator[dicom.Slice | dicom.Refusal],
    progress: Progress | None,
    copied: Progress | None,
    folder: pathlib.Path,
    tally: Tally,
) -> pathlib.Path:
    """Writes the records and their index under `folder`; returns the finished dataset's folder."""
    index = folder / "index.csv"
    # TFDS sorts by key, of 128 bits; what does not fit into 1 GB it deals by key to 1000 files, which
    # it sorts in memory one by one. Keys that span the bits evenly keep the order and the files small.
    stride = 2**128 // tally.total

    def examples() -> Iterator[tuple[int, dict[str, Any]]]:
        with index.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            row = 0
            for done, (item, read) in enumerate(zip(listing.items, reads, strict=True), 1):
                if isinstance(read, dicom.Refusal):
                    tally.refuse(item, read)
                else:
                    tally.accept(item, read)
                    writer.writerow(_facts(item, read))
                    labels = np.array(item.labels or [UNKNOWN] * len(LABELS), np.int8)
                    yield row * stride, {"image": item.image, "hu": read.hu, "labels": labels}
                    row += 1
                if progress:
                    progress(done, tally.total)
            tally.finish()

    written = itertools.count(1)

    def count() -> None:
        if copied:
            copied(next(written), sum(tally.slices.values()))

    tfds.disable_progress_bar()
    builder = CtSlices(size=size, examples=examples, copied=count, data_dir=folder)
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    except Exception:
        if tally.problem is not None:
            raise tally.problem from None
        raise
    made = pathlib.Path(builder.data_dir)
    os.replace(index, made / "index.csv")
    patients = pseudonyms.replace(made / "index.csv")
    copies = (copy._replace(patient=patients[copy.patient]) for copy in tally.copies)
    duplicates.write(made / "duplicates.csv", copies)
    return made


def _facts(item: sources.Item, read: dicom.Slice) -> list[Any]:
    """A line of the index, in the order of `COLUMNS`."""
    how = read.dialect
    return [
        *(item.image, read.patient, read.study, read.series, item.site),
        *(read.position, read.thickness, read.instance, *read.shape, *read.spacing),
        *(read.tilt, how.bits_stored, int(how.signed), how.slope, how.intercept, how.kernel),
        *(how.manufacturer, how.transfer_syntax, ";".join(r.name for r in read.repairs)),
        *(item.labels or [""] * len(LABELS)),
    ]
