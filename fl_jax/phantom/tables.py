"""The cohort's CSV tables and the summary of each site."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.files import csv_table
from fl_jax.phantom.dicom_writer import Person
from fl_jax.phantom.labels import Reading
from fl_jax.phantom.plan import Case
from fl_jax.phantom.scanner.geometry import Geometry
from fl_jax.phantom.scanner.scan import Scan, Scanner
from fl_jax.phantom.sites import Site


class SiteSummary(msgspec.Struct, frozen=True):
    """Counts of one site.

    Attributes:
        site: its name.
        patients: each with one study of one series.
        bleeding: patients with at least one positive slice.
        slices: number of files.
        positives: slices per label, in the order of `types.LABELS`.
        bytes: size of the DICOM files.
    """

    site: str
    patients: int
    bleeding: int
    slices: int
    positives: tuple[int, ...]
    bytes: int


class Record(NamedTuple):
    """A worker's result for one patient: rows for the tables."""

    site: str
    patient: str
    slices: list[dict[str, Any]]
    summary: dict[str, Any]
    size: int


def record(
    case: Case, scanner: Scanner, person: Person, names: list[str], geometry: Geometry, reading: Reading,
    series: Scan, motion: bool, size: int,
) -> Record:  # fmt: skip
    """Makes one patient's rows; `names` are in the order of the slices, `size` is the files' bytes."""
    rows = []
    for k, name in enumerate(names):
        row: dict[str, Any] = {"Image": name, "site": case.site, "patient": person.identifier}
        row |= {"slice": k, "z_mm": f"{geometry.positions[k, 2]:.3f}"}
        row |= {"noise_hu": f"{series.noise[k]:.2f}"}
        row |= dict(zip(LABELS, map(int, reading.labels[k]), strict=True))
        for i, label in enumerate(LABELS[1:]):
            row[f"area_{label}"] = f"{reading.area[k, i]:.1f}"
            row[f"visible_{label}"] = f"{reading.visible[k, i]:.1f}"
            row[f"flipped_{label}"] = int(reading.flipped[k, i])
        rows.append(row)
    summary: dict[str, Any] = {
        "patient": person.identifier,
        "site": case.site,
        "number": case.number,
    }
    summary |= {"age": case.age, "sex": case.sex, "subtypes": ";".join(case.subtypes)}
    summary |= {"severity": f"{case.severity:.3f}", "motion": int(motion), "slices": len(names)}
    summary |= {
        "scanner": scanner.name,
        "kernel": scanner.kernel,
        "dialect": case.unit.dialect.name,
    }
    summary |= {"thickness_mm": f"{scanner.thickness:g}", "increment_mm": scanner.increment}
    summary |= {"offset_hu": f"{scanner.offset:.2f}", "gain": f"{scanner.gain:.4f}"}
    summary |= {"tilt_deg": geometry.tilt, "field_of_view_mm": geometry.field_of_view}
    across = geometry.increment * np.cos(np.deg2rad(geometry.tilt)) / 1000
    for label, area in zip(LABELS[1:], reading.area.sum(0), strict=True):
        summary[f"volume_ml_{label}"] = f"{area * across:.2f}"
    return Record(case.site, person.identifier, rows, summary, size)


def write(out: Path, sites: Sequence[Site], records: list[Record]) -> list[Path]:
    """Writes each site's labels.csv, truth/slices.csv and truth/patients.csv; returns their paths."""
    rows = sorted(
        (row for record in records for row in record.slices), key=lambda row: row["Image"]
    )
    repeated = [name for name, n in Counter(row["Image"] for row in rows).items() if n > 1]
    if repeated:
        raise RuntimeError(f"image names {repeated} are not unique: choose another seed")
    written = []
    for site in sites:
        labels = [
            {"Image": row["Image"]}
            | {label: row[label] for label in LABELS}
            | {"all_diagnoses": ";".join(label for label in LABELS[1:] if row[label])}
            for row in rows
            if row["site"] == site.name
        ]
        written.append(_write_csv(out / site.name / "input" / "labels.csv", labels))
    summaries = [record.summary for record in records]
    written.append(_write_csv(out / "truth" / "slices.csv", rows))
    written.append(_write_csv(out / "truth" / "patients.csv", summaries))
    return written


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    header = [*rows[0]]
    csv_table.write(path, header, ([row[name] for name in header] for row in rows))
    return path


def summarise(site: str, records: list[Record]) -> SiteSummary:
    """Counts one site's records."""
    records = [record for record in records if record.site == site]
    labels = np.array([[row[label] for label in LABELS] for r in records for row in r.slices])
    return SiteSummary(
        site=site,
        patients=len(records),
        bleeding=sum(any(row["any"] for row in record.slices) for record in records),
        slices=len(labels),
        positives=tuple(int(n) for n in labels.sum(0)),
        bytes=sum(record.size for record in records),
    )
