"""A cohort on disk: plan every patient, draw, scan, read and write them in worker processes, then seal it.

    <out>/<site>/input/labels.csv, <out>/<site>/input/data/<Image>.dcm      all that a study may read
    <out>/truth/slices.csv, patients.csv, masks/<patient>.npz               what was drawn; not for training
    <out>/cohort.json                                                       written last: parameters, digest

A patient is a pure function of (seed, site, number), so the bytes do not depend on the number of workers.
A folder without `cohort.json` is an unfinished cohort and is begun again.
"""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fl_jax.data.workers import end_with_parent
from fl_jax.phantom import tables
from fl_jax.phantom.dicom_writer import Person, write_series
from fl_jax.phantom.drawing.grid import Drawing, Grid
from fl_jax.phantom.drawing.head import draw_head
from fl_jax.phantom.labels import READER_ERROR, THRESHOLD, read_slices
from fl_jax.phantom.patient.parameters import PatientParams
from fl_jax.phantom.patient.sampling import sample_patient
from fl_jax.phantom.plan import Case, lay_out, plan_cohort
from fl_jax.phantom.scanner.scan import scan
from fl_jax.phantom.sites import SITES, Site
from fl_jax.phantom.tables import Record, SiteSummary

Draw = Callable[[PatientParams, Grid], Drawing]
VERSION = 1
"""Raised whenever the same parameters give other bytes."""
MARKER = "cohort.json"
UNFINISHED = "cohort.unfinished"
MOTION = 0.06
"""Share of patients who move during a few slices."""


class CohortSummary(NamedTuple):
    """What was made.

    Attributes:
        folder: where it lies.
        digest: of the parameters.
        sites: one summary a site.
        skipped: true when the folder was complete and nothing was done.
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
    """Make a synthetic cohort, or recognise the same one that is already there.

    Args:
        out: folder to write; new, empty, an unfinished cohort (begun again) or the same cohort (left alone).
        seed: of everything; the same seed gives the same bytes.
        sites: hospitals, see `sites.SITES`.
        scale: factor on every site's number of patients, of whom at least four remain.
        matrix: rows = columns of the images.
        workers: processes; each runs on one thread. They are spawned, so a script that calls this
            needs the usual `if __name__ == "__main__"`.
        progress: called with (patients done, patients in all) after every patient.
        draw: draws a patient on a grid, `draw.draw` if None; a function at the top of a module.

    Returns:
        Counts per site.

    Raises:
        ValueError: for a scale, matrix or number of workers that is not positive.
        FileExistsError: when `out` holds another cohort or something else.
    """
    if not scale > 0:
        raise ValueError(f"scale={scale}: give a positive factor")
    if matrix < 32 or workers < 1:
        raise ValueError(
            f"matrix={matrix}, workers={workers}: give at least 32 pixels and 1 worker"
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
    done = _recognise(out, digest)
    if done is not None:
        return done
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
    """Draw, scan, read and write one patient; everything follows from the case.

    Args:
        case: the patient.
        out: the cohort's folder, with the site's folders in it.
        matrix: rows = columns.
        draw: see `make_cohort`.

    Returns:
        Rows for the cohort's tables.
    """
    rng = np.random.default_rng(case.key)
    patient = sample_patient(
        rng, age=case.age, sex=case.sex, subtypes=case.subtypes, severity=case.severity
    )
    geometry = lay_out(case, 72.0 * patient.size[2] + 14.0, rng, matrix)
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
        np.savez_compressed(
            out / "truth" / "masks" / f"{identifier}.npz",
            images=np.array(names),
            subtypes=np.bitwise_or.reduce(bits.astype(np.uint8), axis=0),
        )
    return tables.record(case, person, names, geometry, reading, series, motion, size)


def _hash(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _recognise(out: Path, digest: str) -> CohortSummary | None:
    """The summary of the same complete cohort; None when `out` may be (re)written."""
    if (out / MARKER).is_file():
        found = json.loads((out / MARKER).read_text())
        if found.get("digest") != digest:
            raise FileExistsError(
                f"{out} holds a cohort of other parameters (see {MARKER} there): "
                "choose another folder or delete that one"
            )
        sites = [SiteSummary(**{**s, "positives": tuple(s["positives"])}) for s in found["sites"]]
        return CohortSummary(out, digest, tuple(sites), True)
    if out.exists() and any(out.iterdir()) and not (out / UNFINISHED).is_file():
        raise FileExistsError(f"{out} is not empty and holds no cohort: choose another folder")
    return None


def _clear(out: Path, sites: Sequence[Site]) -> None:
    """Remove what an interrupted run left and lay out the folders."""
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
    """Records in the order in which workers finish them."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(cases)), context, _one_thread) as pool:
        futures = [pool.submit(make_patient, case, out, matrix, draw) for case in cases]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """Keep a worker on one CPU thread, off the accelerator, and no longer than its parent; runs first."""
    import cv2
    import jax

    end_with_parent()  # or it would write into the folder that the next call has cleared
    jax.config.update("jax_platforms", "cpu")  # JAX read the environment when this module came
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["NPROC"] = os.environ["PJRT_NPROC"] = "1"
    cv2.setNumThreads(1)
