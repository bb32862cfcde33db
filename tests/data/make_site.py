"""Site folders for tests, in the study's layout, with a few small DICOM files each."""

import csv
import pathlib

import make_dicom
import numpy as np

from fl_jax.core.types import LABELS

HEADER = ["Image", *LABELS, "all_diagnoses"]


def write_site(
    root: pathlib.Path, site: str, *, patients: int = 4, slices: int = 3, seed: int = 0
) -> pathlib.Path:
    """Writes `<root>/<site>/input`; slice s of patient p has label (p + s) mod 6 where s > 0."""
    folder = root / site / "input"
    (folder / "data").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for number in range(slices):
            image = f"ID_{site}_{patient}_{number}"
            labels = [0] * len(LABELS)
            if number and patient % 2:
                labels[0] = labels[1 + (patient + number) % 5] = 1
            rows.append([image, *labels, ""])
            data = make_dicom.ct(
                make_dicom.disc(brain=20.0 + patient, seed=seed + 100 * patient + number),
                PatientID=f"{site}-{patient}",
                StudyInstanceUID=f"ID_study_{site}_{patient}",
                SeriesInstanceUID=f"ID_series_{site}_{patient}",
                ImagePositionPatient=[-120, -120, 5.0 * number],
                InstanceNumber=number + 1,
            )
            (folder / "data" / f"{image}.dcm").write_bytes(data)
    write_labels(folder / "labels.csv", rows)
    return folder


def write_labels(path: pathlib.Path, rows: list[list], header: list[str] = HEADER) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_cohort(root: pathlib.Path, sites: dict[str, int]) -> pathlib.Path:
    """One folder a site with so many patients."""
    for number, (site, patients) in enumerate(sites.items()):
        write_site(root, site, patients=patients, seed=1000 * number)
    return root


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
