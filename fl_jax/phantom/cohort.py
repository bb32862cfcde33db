"""Writes a synthetic cohort: plans, draws, scans, labels and stores every patient in worker processes.

    <out>/<site>/input/labels.csv, <out>/<site>/input/data/<Image>.dcm     all that training may read
    <out>/truth/slices.csv, patients.csv, masks/<patient>.npz              the drawn truth, never for training
    <out>/cohort.json                                     parameters, counts and digests; written last

A patient is a pure function of (seed, site, number), so the bytes do not depend on the number of workers. A
folder of ours without `cohort.json` is an unfinished cohort and is written anew. Otherwise the number and
size of each site's files and the digests of all tables must be as it says.
"""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fl_jax.data.site_names import check_sites
from fl_jax.data.workers import Workers, end_with_parent
from fl_jax.files import folders, locks
from fl_jax.files.atomic import named, write_json
from fl_jax.files.regular import open_write, sha256
from fl_jax.files.structs import read_struct
from fl_jax.phantom import tables
from fl_jax.phantom.dicom_writer import Person, write_series
from fl_jax.phantom.drawing.grid import Drawing, Grid
from fl_jax.phantom.drawing.head import compile_drawing, draw_head
from fl_jax.phantom.family import STANDARD, Family, parse
from fl_jax.phantom.labels import READER_ERROR, THRESHOLD, read_slices
from fl_jax.phantom.patient.parameters import PatientParams
from fl_jax.phantom.patient.sampling import sample_patient
from fl_jax.phantom.plan import Case, plan_cohort, position, study_scanner
from fl_jax.phantom.scanner.scan import scan
from fl_jax.phantom.sites import SITES, Site
from fl_jax.phantom.tables import Record, SiteSummary

Draw = Callable[[PatientParams, Grid], Drawing]
VERSION = 10
"""Incremented whenever the same parameters give other bytes."""
MARKER = "cohort.json"
REMEDY = f"remove its {MARKER}, and the cohort is drawn anew"
LARGEST_SCALE = 1000.0
LARGEST_MATRIX = 2048
MOTION = 0.06
"""Probability that a patient moves during a few slices."""


_OURS = re.compile(
    r"(truth/(slices|patients)\.csv|truth/masks/SYN_[0-9a-f]{8}\.npz|[^/]+/input/labels\.csv"
    r"|[^/]+/input/data/ID_[0-9a-f]{12}\.dcm)(\.partial)?"
)
"""Files that a cohort consists of."""


class Seal(msgspec.Struct):
    """Content of `cohort.json`; `files` are the SHA-256 of all tables, by path."""

    digest: str
    parameters: dict[str, Any]
    sites: tuple[SiteSummary, ...]
    files: dict[str, str]


class CohortSummary(NamedTuple):
    """A cohort on disk.

    Attributes:
        folder: the cohort's folder.
        digest: SHA-256 of the parameters.
        sites: one summary per site.
        skipped: True if the cohort already existed.
    """

    folder: Path
    digest: str
    sites: tuple[SiteSummary, ...]
    skipped: bool


def make_cohort(
    out: Path | str,
    *,
    seed: int,
    sites: Sequence[Site] = SITES,
    scale: float = 1.0,
    matrix: int = 256,
    family: str = "standard",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    draw: Draw | None = None,
) -> CohortSummary:
    """Writes a synthetic cohort, unless the same one already exists.

    Args:
        out: new or empty folder, an unfinished cohort (written anew), or the same cohort (left alone). Only
            one process may write to it.
        seed: of all randomness; equal seeds give equal bytes.
        sites: hospitals, see `sites.SITES`.
        scale: factor on every site's number of patients, above 0, at most 1000; at least four remain.
        matrix: rows = columns of the images, 32 to 2048.
        family: of phantoms, see `family.parse`.
        workers: single-threaded processes, >= 1. They are spawned, so guard a script that calls this with
            `if __name__ == "__main__"`.
        progress: called with (patients done, all patients) after every patient.
        draw: module-level function that draws a patient on a grid. Default: `drawing.head.draw_head`.

    Raises:
        ValueError: an argument is out of range, `out` contains other files or a damaged cohort, or another
            process draws there.
        FileExistsError: `out` contains another cohort.
        OSError: `out` cannot be written, with the reason.
    """
    _check(seed, sites, scale, matrix, workers)
    numbers = parse(family)
    out = Path(out)
    parameters = {
        "version": VERSION,
        "seed": seed,
        "scale": scale,
        "matrix": matrix,
        "threshold_mm2": THRESHOLD,
        "reader_error": READER_ERROR,
        "family": dataclasses.asdict(numbers),
        "draw": "default" if draw is None else f"{draw.__module__}.{draw.__qualname__}",
        "sites": [dataclasses.asdict(site) for site in sites],
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    existing = _existing(out, digest)
    if existing is not None:
        return existing
    folders.claim(out, "cohort", flag="--out")
    with locks.lock(out, "cohort", flag="--out"):
        existing = _existing(out, digest)  # of a process that has just finished
        if existing is not None:
            return existing
        _clear(out, sites)
        cases = plan_cohort(seed, sites, scale, numbers)
        records = []
        for record in _in_processes(cases, out, matrix, numbers, workers, draw):
            records.append(record)
            if progress is not None:
                progress(len(records), len(cases))
        records.sort(key=lambda record: (record.site, record.patient))
        written = tables.write(out, sites, records)
        seal = Seal(
            digest,
            parameters,
            tuple(tables.summarise(site.name, records) for site in sites),
            {path.relative_to(out).as_posix(): sha256(path) for path in written},
        )
        write_json(out / MARKER, msgspec.to_builtins(seal))
    return CohortSummary(out, digest, seal.sites, False)


def _check(seed: int, sites: Sequence[Site], scale: float, matrix: int, workers: int) -> None:
    if not 0 < scale <= LARGEST_SCALE:
        raise ValueError(f"scale={scale}: pass a factor above 0, at most {LARGEST_SCALE:g}")
    if not 32 <= matrix <= LARGEST_MATRIX or workers < 1 or seed < 0:
        raise ValueError(
            f"matrix={matrix}, workers={workers}, seed={seed}: pass 32 to {LARGEST_MATRIX} pixels, at "
            "least 1 worker, and a seed from 0"
        )
    names = [site.name for site in sites]
    check_sites("site", [*names, "truth"])
    if not names:
        raise ValueError("sites is empty: pass at least one site")


def make_patient(
    case: Case, out: Path, matrix: int, family: Family = STANDARD, draw: Draw | None = None
) -> Record:
    """Draws, scans, labels and stores one planned patient in its site's folder, which must exist."""
    rng = np.random.default_rng(case.key)
    patient = sample_patient(
        rng,
        family,
        age=case.age,
        sex=case.sex,
        subtypes=case.subtypes,
        severity=case.severity,
    )
    scanner = study_scanner(case.unit.scanner, rng, family)
    geometry = position(scanner, 72.0 * patient.size[2] + 14.0, rng, matrix, family)
    motion = bool(rng.random() < MOTION)
    drawing = (draw or draw_head)(patient, geometry.grid)
    series = scan(drawing, geometry, scanner, rng, motion=motion)
    reading = read_slices(series, geometry, rng)
    identifier = f"SYN_{_hash(*case.key, 'patient')[:8]}"
    person = Person(
        identifier, case.age, case.sex,
        f"{rng.integers(2017, 2022)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}",
        f"{rng.integers(0, 24):02d}{rng.integers(0, 60):02d}{rng.integers(0, 60):02d}",
    )  # fmt: skip
    names = [f"ID_{_hash(*case.key, 'image', k)[:12]}" for k in range(len(series.hu))]
    folder = out / case.site / "input" / "data"
    size = write_series(folder, names, series, geometry, scanner, case.unit.dialect, person)
    if series.lesions.any():
        bits = (series.lesions > 0.25) << np.arange(5, dtype=np.uint8)[:, None, None, None]
        path = out / "truth" / "masks" / f"{identifier}.npz"
        with named(path), open_write(path, "new") as file:
            np.savez_compressed(
                file,
                images=np.array(names),
                subtypes=np.bitwise_or.reduce(bits.astype(np.uint8), axis=0),
            )
    return tables.record(case, scanner, person, names, geometry, reading, series, motion, size)


def _hash(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _existing(out: Path, digest: str) -> CohortSummary | None:
    """The summary if `out` is the same, complete cohort; None if it has no complete cohort."""
    seal = read_struct(out / MARKER, Seal, remedy=REMEDY)
    if seal is None:
        return None
    if seal.digest != digest:
        raise FileExistsError(
            f"{out} contains a cohort with other parameters (see its {MARKER}): "
            "choose another folder or delete it"
        )
    for site in seal.sites:
        sizes = _sizes(out / site.site / "input" / "data")
        if (len(sizes), sum(sizes)) != (site.slices, site.bytes):
            raise ValueError(
                f"{out}: site {site.site!r} has {len(sizes)} files of {sum(sizes)} bytes, was drawn with "
                f"{site.slices} of {site.bytes}; {REMEDY}"
            )
    for name, built in seal.files.items():
        if not (out / name).is_file() or sha256(out / name) != built:
            raise ValueError(
                f"{out / name}: is missing or has changed since it was drawn; {REMEDY}"
            )
    return CohortSummary(out, digest, seal.sites, True)


def _sizes(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry.stat(follow_symlinks=False).st_size for entry in entries]


def _clear(out: Path, sites: Sequence[Site]) -> None:
    """Removes the remains of an interrupted run and creates the folders."""
    names = (*(site.name for site in sites), "truth")
    folders.check_ours(out, names, _OURS)
    for name in names:
        folders.remove(out / name, "cohort")
    for site in sites:
        folders.make(out / site.name / "input" / "data")
    folders.make(out / "truth" / "masks")


def _in_processes(
    cases: list[Case], out: Path, matrix: int, family: Family, workers: int, draw: Draw | None
) -> Iterator[Record]:
    """Yields records as workers finish."""
    lock = multiprocessing.get_context("spawn").Lock()
    with (
        tempfile.TemporaryDirectory(prefix="fl_jax_") as compiled,
        Workers(min(workers, len(cases)), _one_thread, lock, compiled, draw is None) as pool,
    ):
        futures = [pool.submit(make_patient, case, out, matrix, family, draw) for case in cases]
        try:
            for future in as_completed(futures):
                with named(out):
                    record = future.result()
                yield record
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread(lock: Lock, compiled: str, compile_kernels: bool) -> None:
    """Initialises a worker: one CPU thread, no accelerator, ends with its parent.

    With `compile_kernels`, the first worker compiles the drawing into the folder `compiled`, or into JAX's
    compilation cache if there is one. The others wait and load it.
    """
    import cv2
    import jax

    end_with_parent()  # an orphan would write into the folder that the next run clears
    jax.config.update("jax_platforms", "cpu")  # importing this module has read JAX_PLATFORMS
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["NPROC"] = os.environ["PJRT_NPROC"] = "1"
    cv2.setNumThreads(1)
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    if compile_kernels:
        with lock:
            compile_drawing()
