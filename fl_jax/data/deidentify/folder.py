"""De-identifies a folder of DICOM files, including the files' names.

| layout | input | output |
|---|---|---|
| `sites` | `<site>/input/labels.csv`, `<site>/input/data/<Image>.dcm` | the same, images renamed in both |
| `folder` | every file below | `<series>/<image>.dcm` |

An image's new name is `ID_` and 12 hexadecimal digits of HMAC-SHA256(key, old name), so an image has the same
name in every export. With `folder`, where files of different folders may share a name, it is the new SOP
Instance UID. A second image with the same new name is refused. `labels.csv` keeps the column Image, the
labels, and the rows of exported images. Sites keep their names. No name contains its file's Patient ID, not
even the pseudonymous one, so that datasets accept it.

An unfinished export carries a marker, and the next run to the same folder starts it over; a finished one is
never overwritten. Refused files are listed by the path that the user gave, which may name a patient.
"""

import os
import pathlib
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fl_jax.core.types import LABELS
from fl_jax.data.deidentify.file import KEY_BYTES, Deidentified, RefusedError, deidentify, pseudonym
from fl_jax.data.sources import read_labels, site_paths
from fl_jax.data.sources.listing import Labels, image_of
from fl_jax.files import csv_table
from fl_jax.files.atomic import delete, named
from fl_jax.files.folders import claim, is_system, make, remove, walk
from fl_jax.files.links import check_link, has_marker, marker
from fl_jax.files.locks import LOCKS, lock
from fl_jax.files.regular import open_read, open_write, read_bytes

MAKE_KEY = "(umask 077; head -c 32 /dev/urandom | base64 > FILE)"
LAYOUTS = ("sites", "folder")
KEY_LIMIT = 2**16
"""Bytes; no key is longer."""
DIFFERENT = 8
"""Fewest different bytes of a key; a random one has more, also as text."""
LARGEST = 2**30
"""Bytes of a file that is read; a slice has less than one in a thousand of it."""
UNREADABLE = "unreadable, a link to a folder or out of the source, or no regular file"
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
        ValueError: no file, a file that others may read, or a short, huge or repetitive one; with the remedy.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(
            f"key is {str(path)!r}, which is not a file: make one with {MAKE_KEY} and keep it at the "
            "hospital; the same key gives the same pseudonyms"
        )
    with open_read(path, largest=KEY_LIMIT) as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ValueError(f"key {path} can be read by other users: chmod 600 {path}")
        key = file.read(KEY_LIMIT).strip()
    if len(key) < KEY_BYTES:
        raise ValueError(f"key {path} has {len(key)} bytes, {KEY_BYTES} are needed: {MAKE_KEY}")
    if len(set(key)) < DIFFERENT:
        raise ValueError(
            f"key {path} has {len(set(key))} different bytes, any could guess it: {MAKE_KEY}"
        )
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
        out: an empty or new folder, or an unfinished export; neither inside nor around `source`.
        key: see `read_key`.
        layout: see the module's table.
        progress: called with files done and files in all.

    Returns:
        What was written and what was refused.

    Raises:
        ValueError: an unknown layout, an unsuitable folder, a site that is a link out of the source, an
            invalid `labels.csv`, or another process is writing to `out`.
        OSError: `out` cannot be written, or a folder of `source` cannot be listed.
    """
    source, out = pathlib.Path(source), pathlib.Path(out)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: give one of {', '.join(LAYOUTS)}")
    _check_folders(source, out)
    files = [*(_sites(source) if layout == "sites" else _loose(source))]
    if not files:
        raise ValueError(f"source {source}: no file to export; see layout {layout!r}")
    sites = sorted({site for _, site in files if site})
    labels = {site: read_labels(source / site / "input" / "labels.csv")[0] for site in sites}
    claim(out, "export", flag="--out")
    with lock(out, "deidentify", flag="--out"):
        for path in out.iterdir():  # of an unfinished export
            if path.is_dir() and path.name != LOCKS and not is_system(path.name):
                remove(path, "export")
        exported, written = _export(source, files, out, key, progress)
        for site in sites:
            _labels(labels[site], out / site / "input", key, written)
        remove(out / LOCKS, "export")
        delete(marker(out, "export"))
    return exported


def _export(
    source: pathlib.Path,
    files: Sequence[tuple[pathlib.Path, str]],
    out: pathlib.Path,
    key: bytes,
    progress: Callable[[int, int], None],
) -> tuple[Exported, set[str]]:
    """Exports the files; also returns the names of the images written."""
    refused: dict[str, list[str]] = {}
    cleared, patients = Counter(), set()
    written: set[pathlib.Path] = set()
    for done, (path, site) in enumerate(files, 1):
        exported = _deidentify(path, source, key)
        if isinstance(exported, str):
            refused.setdefault(exported, []).append(str(path))
        else:
            place = _place(path, site, exported, key)
            if place in written:
                refused.setdefault(TWICE, []).append(str(path))
            else:
                make((out / place).parent)
                with named(out / place), open_write(out / place, "new") as file:
                    file.write(exported.data)
                written.add(place)
                patients.add(exported.patient)
                cleared.update(exported.cleared)
        progress(done, len(files))
    result = Exported(len(written), len(patients), refused, dict(cleared))
    return result, {place.stem for place in written}


def _deidentify(path: pathlib.Path, source: pathlib.Path, key: bytes) -> Deidentified | str:
    """A file's de-identified content, or why it is refused."""
    try:
        if path.is_symlink():
            check_link(path, source)
        data = read_bytes(path, LARGEST)
    except (OSError, ValueError):
        return UNREADABLE
    try:
        return deidentify(data, key)
    except RefusedError as error:
        return error.reason.value


def image_name(key: bytes, name: str) -> str:
    """An image's name in an export."""
    return "ID_" + pseudonym(key, "image", name, 12)


def _check_folders(source: pathlib.Path, out: pathlib.Path) -> None:
    if not source.is_dir():
        raise ValueError(f"source is {str(source)!r}, which is not a folder")
    if out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"out {out} is inside source {source}: choose another folder")
    if source.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"source {source} is inside out {out}: choose another folder")
    unfinished = has_marker(out, "export")
    if out.exists() and not unfinished and not _is_empty(out):
        raise ValueError(f"out {out} is not an empty folder: choose another, or empty it")


def _is_empty(folder: pathlib.Path) -> bool:
    return folder.is_dir() and all(is_system(path.name) for path in folder.iterdir())


def _sites(source: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    for site in site_paths(source):
        folder = site / "input" / "data"
        check_link(folder, folder.parent)
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            yield path, site.name


def _loose(source: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    for folder, folders, names in walk(source):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *links]):
            yield pathlib.Path(folder, name), ""


def _place(path: pathlib.Path, site: str, exported: Deidentified, key: bytes) -> pathlib.Path:
    if not site:
        return pathlib.Path(exported.series, f"{exported.image}.dcm")
    name = image_of(path.name)
    return pathlib.Path(site, "input", "data", f"{image_name(key, name)}.dcm")


def _labels(labels: Mapping[str, Labels], out: pathlib.Path, key: bytes, written: set[str]) -> None:
    """Writes the site's `labels.csv` with new names, sorted."""
    renamed = sorted((image_name(key, image), values) for image, values in labels.items())
    rows = ((name, *values) for name, values in renamed if name in written)
    make(out)
    csv_table.write(out / "labels.csv", ("Image", *LABELS), rows)
