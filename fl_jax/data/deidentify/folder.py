"""De-identifies a folder of DICOM files, including the files' names.

| layout | input | output |
|---|---|---|
| `sites` | `<site>/input/labels.csv`, `<site>/input/data/<Image>.dcm` | the same, images renamed in both |
| `folder` | every file below | `<patient>/<series>/<image>.dcm` |

An image's new name is `ID_` and 12 hexadecimal digits of HMAC-SHA256(key, old name), so an image has the same
name in every export. With `folder`, where files of different folders may share a name, it is the new SOP
Instance UID. A second image with the same new name is refused. `labels.csv` keeps the column Image, the
labels, and the rows of exported images. Sites keep their names.
"""

import os
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fl_jax.core.types import LABELS
from fl_jax.data.deidentify.file import KEY_BYTES, Deidentified, RefusedError, deidentify, pseudonym
from fl_jax.data.sources import read_labels
from fl_jax.data.sources.listing import image_of
from fl_jax.files import csv_table

MAKE_KEY = "(umask 077; head -c 32 /dev/urandom | base64 > FILE)"
LAYOUTS = ("sites", "folder")
TWICE = "another image has its name"
"""Reason to refuse a second file of one image, e.g. `x.DCM` next to `x.dcm`."""


class Exported(NamedTuple):
    """Result of an export.

    Attributes:
        files: number of files written.
        patients: number of their patients.
        refused: paths of files that were not exported, by reason.
        cleared: number of files in which a text was emptied, by keyword.
    """

    files: int
    patients: int
    refused: dict[str, list[str]]
    cleared: dict[str, int]


def read_key(path: str | os.PathLike[str]) -> bytes:
    """Reads the secret that pseudonyms are derived from.

    Args:
        path: a file of at least `KEY_BYTES` bytes that only its owner may read.

    Returns:
        Its bytes without surrounding white space.

    Raises:
        ValueError: no file, a file that others may read, or a short key; with the remedy.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(
            f"key is {str(path)!r}, which is not a file: make one with {MAKE_KEY} and keep it at the "
            "hospital; the same key gives the same pseudonyms"
        )
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ValueError(f"key {path} can be read by other users: chmod 600 {path}")
    key = path.read_bytes().strip()
    if len(key) < KEY_BYTES:
        raise ValueError(f"key {path} has {len(key)} bytes, {KEY_BYTES} are needed: {MAKE_KEY}")
    return key


def deidentify_folder(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    key: bytes,
    *,
    layout: str = "sites",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """De-identifies a folder.

    Args:
        source: the folder; stays unchanged.
        out: an empty or new folder, outside of `source`.
        key: see `read_key`.
        layout: see the module's table.
        progress: called with files done and files in all.

    Returns:
        What was written and what was refused.

    Raises:
        ValueError: an unknown layout, an unsuitable folder, or an invalid `labels.csv`.
    """
    source, out = pathlib.Path(source), pathlib.Path(out)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: give one of {', '.join(LAYOUTS)}")
    _check_folders(source, out)
    files = [*(_sites(source) if layout == "sites" else _loose(source))]
    if not files:
        raise ValueError(f"source {source}: no file to export; see layout {layout!r}")
    refused: dict[str, list[str]] = {}
    cleared, patients = Counter(), set()
    written: list[str] = []
    for done, (path, site) in enumerate(files, 1):
        try:
            exported = deidentify(path.read_bytes(), key)
        except RefusedError as error:
            refused.setdefault(error.reason.value, []).append(str(path))
        else:
            target = out / _place(path, site, exported, key)
            if target.exists():
                refused.setdefault(TWICE, []).append(str(path))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(exported.data)
                written.append(target.stem)
                patients.add(exported.patient)
                cleared.update(exported.cleared)
        progress(done, len(files))
    if layout == "sites":
        for site in sorted({site for _, site in files}):
            _labels(source / site / "input", out / site / "input", key, {*written})
    return Exported(len(written), len(patients), refused, dict(cleared))


def image_name(key: bytes, name: str) -> str:
    """An image's name in an export."""
    return "ID_" + pseudonym(key, "image", name, 12)


def _check_folders(source: pathlib.Path, out: pathlib.Path) -> None:
    if not source.is_dir():
        raise ValueError(f"source is {str(source)!r}, which is not a folder")
    if out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"out {out} is inside source {source}: choose another folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out {out} is not an empty folder: choose another, or empty it")


def _sites(source: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    for folder in sorted(source.glob("*/input/data")):
        for path in sorted(folder.iterdir()):
            if path.is_file():
                yield path, folder.parents[1].name


def _loose(source: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            yield path, ""


def _place(path: pathlib.Path, site: str, exported: Deidentified, key: bytes) -> pathlib.Path:
    if not site:
        return pathlib.Path(exported.patient, exported.series, f"{exported.image}.dcm")
    name = image_of(path.name)
    return pathlib.Path(site, "input", "data", f"{image_name(key, name)}.dcm")


def _labels(source: pathlib.Path, out: pathlib.Path, key: bytes, written: set[str]) -> None:
    """Writes the site's `labels.csv` with new names, sorted."""
    labels, _ = read_labels(source / "labels.csv")
    renamed = sorted((image_name(key, image), values) for image, values in labels.items())
    out.mkdir(parents=True, exist_ok=True)
    rows = ((name, *values) for name, values in renamed if name in written)
    csv_table.write(out / "labels.csv", ("Image", *LABELS), rows)
