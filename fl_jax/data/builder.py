"""A TFDS dataset of int16 HU slices, built once from a source and opened without TensorFlow.

On disk, under `data_dir`:

    slices/             the TFDS dataset, array_record: image name, HU, labels; record i is row i
    slices/index.csv    every fact about every slice, so that metadata needs no pixel pass
    refused.csv         site, path, reason and detail of every file that the last build refused
    summary.json        what it was built from and what each site holds; written last

A dataset is whole if and only if `summary.json` is there: the build happens in `building/`, is moved
into place, and the summary comes last; it is the first to go when a dataset is replaced. What is
found half built is removed and built anew.
"""

import csv
import json
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pydicom
import tensorflow_datasets as tfds

from fl_jax.data import dicom, sources
from fl_jax.data.slices import COLUMNS, SPLIT, VERSION, Slices, Summary, load, read_summary
from fl_jax.types import LABELS

__all__ = ["CtSlices", "RefusedError", "Slices", "Summary", "load", "prepare", "read_summary"]

Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""


class RefusedError(ValueError):
    """More files were refused than `max_refused` allows."""


class CtSlices(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder; `prepare` gives it the slices, in the order of the rows."""

    VERSION = tfds.core.Version(VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Give the folder of site folders to fl_jax.data.builder.prepare."

    def __init__(self, *, size: int, examples: Callable[[], Iterator[Any]] | None = None, **kwargs):
        self._size, self._examples = size, examples
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        pixels = tfds.features.Tensor(
            shape=(self._size, self._size), dtype=np.int16, encoding=tfds.features.Encoding.BYTES
        )
        labels = tfds.features.Tensor(shape=(len(LABELS),), dtype=np.uint8)
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

    def _log_download_bytes(self) -> None:
        """Prints nothing: a library does not."""

    def _log_download_done(self) -> None:
        """Prints nothing: a library does not."""

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self._examples is None:
            raise ValueError("examples is None: build with fl_jax.data.builder.prepare")
        return self._examples()


def prepare(
    source: str | pathlib.Path,
    *,
    layout: str = "sites",
    data_dir: str | pathlib.Path,
    image_size: int,
    max_refused: float = 0.01,
    workers: int | None = None,
    progress: Progress | None = None,
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
        progress: called as files are read.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        RefusedError: too many files refused, after all were read; names the commonest reason and
            its first files, and leaves `refused.csv`.
        ValueError: a bad argument, a fault of the source, or a patient at two sites.
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
        "options": {"layout": layout, "image_size": image_size},
    }
    done = read_summary(data_dir)
    if done is not None and done["refused"] <= max_refused and key.items() <= done.items():
        return done
    building, final = data_dir / "building", data_dir / "slices"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    tally = _Tally(listing, max_refused)
    try:
        made = _build(listing, image_size, workers, progress, building, tally)
        (data_dir / "summary.json").unlink(missing_ok=True)
        if final.exists():
            shutil.rmtree(final)
        os.replace(made, final)
    finally:
        tally.write_refused(data_dir / "refused.csv")
        shutil.rmtree(building, ignore_errors=True)
    summary = key | {"versions": _versions()} | tally.summary()
    partial = data_dir / "summary.json.partial"
    partial.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, data_dir / "summary.json")
    return summary


def _versions() -> dict[str, str]:
    """Of what has a hand in the pixels; recorded, not compared."""
    packages = (cv2, np, pydicom, tfds)
    return {package.__name__: str(package.__version__) for package in packages}


class _Tally:
    """Counts what is read, per site, and stops the build at what must not go on."""

    def __init__(self, listing: sources.Listing, max_refused: float):
        self.total = len(listing.items)
        self.allowed = max_refused * self.total
        self.found = {site: Counter(counts) for site, counts in listing.counts.items()}
        self.refused: list[tuple[str, dicom.Refusal]] = []
        self.repairs = {site: Counter() for site in listing.counts}
        self.positives = {site: dict.fromkeys(LABELS, 0) for site in listing.counts}
        self.studies: dict[str, set[str]] = {site: set() for site in listing.counts}
        self.site_of: dict[str, str] = {}
        self.slices = Counter()
        self.problem: ValueError | None = None

    def refuse(self, item: sources.Item, refusal: dicom.Refusal) -> None:
        """Counts a refusal."""
        self.refused.append((item.site, refusal))

    def finish(self) -> None:
        """Raises where more was refused than may be, or all of it."""
        if len(self.refused) == self.total:
            self.stop(RefusedError(f"no file of {self.total} could be read; {self.worst()}"))
        if len(self.refused) > self.allowed:
            self.stop(
                RefusedError(
                    f"refused {len(self.refused)} of {self.total} files, more than max_refused "
                    f"allows ({self.allowed:g}); {self.worst()}; see refused.csv in data_dir, "
                    "repair or remove the files, or raise max_refused"
                )
            )

    def worst(self) -> str:
        """The commonest reason and its first files."""
        reason, count = Counter(refusal.reason for _, refusal in self.refused).most_common(1)[0]
        first = [refusal for _, refusal in self.refused if refusal.reason == reason][:3]
        shown = "; ".join(f"{refusal.path} ({refusal.detail})" for refusal in first)
        return f"most often as {reason.value!r} ({count}): {shown}"

    def accept(self, item: sources.Item, read: dicom.Slice) -> None:
        """Counts a slice; raises if its patient was met at another site."""
        other = self.site_of.setdefault(read.patient, item.site)
        if other != item.site:
            self.stop(
                ValueError(
                    f"patient {read.patient!r} is at site {other!r} and at site {item.site!r} "
                    f"({item.path}): a patient belongs to one site; rename or remove one of them"
                )
            )
        self.slices[item.site] += 1
        self.studies[item.site].add(read.study)
        self.repairs[item.site].update(repair.value for repair in read.repairs)
        for label, value in zip(LABELS, item.labels, strict=True):
            self.positives[item.site][label] += value

    def stop(self, problem: ValueError) -> None:
        """Raises, and remembers what, since TFDS wraps what a generator raises."""
        self.problem = problem
        raise problem

    def write_refused(self, path: pathlib.Path) -> None:
        """Writes which files were refused and why, also where the build then failed."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("site", "path", "reason", "detail"))
            writer.writerows((site, r.path, r.reason.value, r.detail) for site, r in self.refused)

    def summary(self) -> Summary:
        """`summary.json` without its key."""
        patients = Counter(self.site_of.values())
        sites = {}
        for site, found in self.found.items():
            refused = Counter(r.reason.value for s, r in self.refused if s == site)
            sites[site] = {
                "patients": patients[site],
                "studies": len(self.studies[site]),
                "slices": self.slices[site],
                "positives": self.positives[site],
                "refused": dict(sorted(refused.items())),
                "repairs": dict(sorted(self.repairs[site].items())),
            } | dict(found)
        return {"refused": len(self.refused) / self.total, "sites": sites}


def _build(
    listing: sources.Listing,
    size: int,
    workers: int | None,
    progress: Progress | None,
    folder: pathlib.Path,
    tally: _Tally,
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
            reads = dicom.read_all([i.path for i in listing.items], size=size, workers=workers)
            for done, (item, read) in enumerate(zip(listing.items, reads, strict=True), 1):
                if isinstance(read, dicom.Refusal):
                    tally.refuse(item, read)
                else:
                    tally.accept(item, read)
                    writer.writerow(_facts(item, read))
                    labels = np.array(item.labels, np.uint8)
                    yield row * stride, {"image": item.image, "hu": read.hu, "labels": labels}
                    row += 1
                if progress:
                    progress(done, tally.total)
            tally.finish()

    tfds.disable_progress_bar()
    builder = CtSlices(size=size, examples=examples, data_dir=folder)
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
    return made


def _facts(item: sources.Item, read: dicom.Slice) -> list[Any]:
    """A line of the index, in the order of `COLUMNS`."""
    how = read.dialect
    return [
        *(item.image, read.patient, read.study, read.series, item.site),
        *(read.position, read.thickness, read.instance, *read.shape, *read.spacing),
        *(read.tilt, how.bits_stored, int(how.signed), how.slope, how.intercept, how.kernel),
        *(how.manufacturer, how.transfer_syntax, ";".join(r.name for r in read.repairs)),
        *item.labels,
    ]
