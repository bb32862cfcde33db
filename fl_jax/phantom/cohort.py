"""Writes a synthetic cohort: plans, draws, scans, labels and stores every patient in worker processes.

    <out>/<site>/input/labels.csv, <out>/<site>/input/data/<Image>.dcm      all that training may read
    <out>/truth/slices.csv, patients.csv, masks/<patient>.npz               the drawn truth; never for
    training <out>/cohort.json                                                       written last: parameters,
    digest

A patient is a pure function of (seed, site, number), so the bytes do not depend on the number of workers. A
folder without `cohort.json` is an unfinished cohort and is written anew.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fl_jax.data.workers import Workers, end_with_parent
from fl_jax.files.atomic import named
from fl_jax.files.regular import open_write
from fl_jax.phantom import tables
from fl_jax.phantom.dicom_writer import Person, write_series
from fl_jax.phantom.drawing.grid import Drawing, Grid
from fl_jax.phantom.drawing.head import draw_head
from fl_jax.phantom.labels import READER_ERROR, THRESHOLD, read_slices
from fl_jax.phantom.patient.parameters import PatientParams
from fl_jax.phantom.patient.sampling import sample_patient
from fl_jax.phantom.plan import Case, plan_cohort, position
from fl_jax.phantom.scanner.scan import scan
from fl_jax.phantom.sites import SITES, Site
from fl_jax.phantom.tables import Record, SiteSummary

Draw = Callable[[PatientParams, Grid], Drawing]
VERSION = 1
"""Incremented whenever the same parameters give other bytes."""
MARKER = "cohort.json"
UNFINISHED = "cohort.unfinished"
MOTION = 0.06
"""Probability that a patient moves during a few slices."""


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
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    draw: Draw | None = None,
) -> CohortSummary:
    """Writes a synthetic cohort, unless the same one already exists.

    Args:
        out: new or empty folder, an unfinished cohort (written anew), or the same cohort (left alone).
        seed: of all randomness; equal seeds give equal bytes.
        sites: hospitals, see `sites.SITES`.
        scale: factor > 0 on every site's number of patients; at least four remain.
        matrix: rows = columns of the images, >= 32.
        workers: single-threaded processes, >= 1. They are spawned, so guard a script that calls this with
            `if __name__ == "__main__"`.
        progress: called with (patients done, all patients) after every patient.
        draw: module-level function that draws a patient on a grid. Default: `drawing.head.draw_head`.

    Raises:
        ValueError: scale, matrix or workers is out of range.
        FileExistsError: `out` contains another cohort or other files.
    """
    if not scale > 0:
        raise ValueError(f"scale={scale}: pass a positive factor")
    if matrix < 32 or workers < 1:
        raise ValueError(
            f"matrix={matrix}, workers={workers}: pass at least 32 pixels and 1 worker"
        )
    out = Path(out)
    parameters = {
        "version": VERSION,
        "seed": seed,
        "scale": scale,
        "matrix": matrix,
        "threshold_mm2": THRESHOLD,
        "reader_error": READER_ERROR,
        "draw": "default" if draw is None else f"{draw.__module__}.{draw.__qualname__}",
        "sites": [dataclasses.asdict(site) for site in sites],
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    existing = _existing(out, digest)
    if existing is not None:
        return existing
    _clear(out, sites)
    cases = plan_cohort(seed, sites, scale)
    records = []
    for record in _in_processes(cases, out, matrix, workers, draw):
        records.append(record)
        if progress is not None:
            progress(len(records), len(cases))
    records.sort(key=lambda record: (record.site, record.patient))
    tables.write(out, sites, records)
    summary = CohortSummary(
        out, digest, tuple(tables.summarise(site.name, records) for site in sites), False
    )
    marker = {
        "digest": digest,
        "parameters": parameters,
        "sites": [s._asdict() for s in summary.sites],
    }
    (out / UNFINISHED).write_text(json.dumps(marker, indent=1))
    (out / UNFINISHED).rename(out / MARKER)
    return summary


def make_patient(case: Case, out: Path, matrix: int, draw: Draw | None = None) -> Record:
    """Draws, scans, labels and stores one planned patient in its site's folder, which must exist."""
    rng = np.random.default_rng(case.key)
    patient = sample_patient(
        rng, age=case.age, sex=case.sex, subtypes=case.subtypes, severity=case.severity
    )
    geometry = position(case, 72.0 * patient.size[2] + 14.0, rng, matrix)
    motion = bool(rng.random() < MOTION)
    series = scan(
        (draw or draw_head)(patient, geometry.grid), geometry, case.unit.scanner, rng, motion=motion
    )
    reading = read_slices(series, geometry, rng)
    identifier = f"SYN_{_hash(*case.key, 'patient')[:8]}"
    person = Person(
        identifier, case.age, case.sex,
        f"{rng.integers(2017, 2022)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}",
        f"{rng.integers(0, 24):02d}{rng.integers(0, 60):02d}{rng.integers(0, 60):02d}",
    )  # fmt: skip
    names = [f"ID_{_hash(*case.key, 'image', k)[:12]}" for k in range(len(series.hu))]
    folder = out / case.site / "input" / "data"
    size = write_series(
        folder, names, series, geometry, case.unit.scanner, case.unit.dialect, person
    )
    if series.lesions.any():
        bits = (series.lesions > 0.25) << np.arange(5, dtype=np.uint8)[:, None, None, None]
        with open_write(out / "truth" / "masks" / f"{identifier}.npz", "new") as file:
            np.savez_compressed(
                file,
                images=np.array(names),
                subtypes=np.bitwise_or.reduce(bits.astype(np.uint8), axis=0),
            )
    return tables.record(case, person, names, geometry, reading, series, motion, size)


def _hash(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _existing(out: Path, digest: str) -> CohortSummary | None:
    """The summary if `out` is the same, complete cohort; None if `out` may be written."""
    if (out / MARKER).is_file():
        marker = json.loads((out / MARKER).read_text())
        if marker.get("digest") != digest:
            raise FileExistsError(
                f"{out} contains a cohort with other parameters (see its {MARKER}): "
                "choose another folder or delete it"
            )
        sites = [SiteSummary(**{**s, "positives": tuple(s["positives"])}) for s in marker["sites"]]
        return CohortSummary(out, digest, tuple(sites), True)
    if out.exists() and any(out.iterdir()) and not (out / UNFINISHED).is_file():
        raise FileExistsError(f"{out} is not empty and contains no cohort: choose another folder")
    return None


def _clear(out: Path, sites: Sequence[Site]) -> None:
    """Removes the remains of an interrupted run and creates the folders."""
    out.mkdir(parents=True, exist_ok=True)
    (out / UNFINISHED).touch()
    for folder in (*(site.name for site in sites), "truth"):
        shutil.rmtree(out / folder, ignore_errors=True)
    for site in sites:
        (out / site.name / "input" / "data").mkdir(parents=True)
    (out / "truth" / "masks").mkdir(parents=True)


def _in_processes(
    cases: list[Case], out: Path, matrix: int, workers: int, draw: Draw | None
) -> Iterator[Record]:
    """Yields records as workers finish."""
    with Workers(min(workers, len(cases)), _one_thread) as pool:
        futures = [pool.submit(make_patient, case, out, matrix, draw) for case in cases]
        try:
            for future in as_completed(futures):
                with named(out):
                    record = future.result()
                yield record
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """Initialises a worker: one CPU thread, no accelerator, ends with its parent."""
    import cv2
    import jax

    end_with_parent()  # an orphan would write into the folder that the next run clears
    jax.config.update("jax_platforms", "cpu")  # importing this module has read JAX_PLATFORMS
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["NPROC"] = os.environ["PJRT_NPROC"] = "1"
    cv2.setNumThreads(1)
