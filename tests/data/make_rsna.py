"""A small folder in the shape of the RSNA 2019 challenge, for tests."""

import pathlib
from collections.abc import Iterable

import make_dicom

from fl_jax.core.types import LABELS

ORDER = (*LABELS[1:], "any")
"""The challenge's order of an image's six lines."""


def lines(image: str, positive: Iterable[str] = ()) -> list[str]:
    """The six lines of an image; `any` is positive where a subtype is."""
    positives = set(positive) | ({"any"} if positive else set())
    return [f"{image}_{label},{int(label in positives)}" for label in ORDER]


def write_table(folder: pathlib.Path, rows: Iterable[str]) -> pathlib.Path:
    path = folder / "stage_2_train.csv"
    path.write_text("".join(row + "\n" for row in ["ID,Label", *rows]))
    return path


def image(number: int, patient: int, position: int, **header) -> bytes:
    """A challenge's file: identifiers that are no UIDs, no Image Type, thickness or manufacturer."""
    absent = ("ImageType", "SOPClassUID", "SliceThickness", "Manufacturer", "ConvolutionKernel")
    return make_dicom.ct(
        make_dicom.disc(brain=20.0 + patient, seed=number),
        **(
            dict.fromkeys((*absent, "InstanceNumber", "GantryDetectorTilt"))
            | {
                "PatientID": f"ID_{patient:08x}",
                "StudyInstanceUID": f"ID_{patient:010x}",
                "SeriesInstanceUID": f"ID_{patient + 256:010x}",
                "ImagePositionPatient": [-125, -120, 5.0 * position],
                "BitsStored": 16,
            }
            | header
        ),
    )


def write_rsna(
    root: pathlib.Path,
    *,
    patients: int = 6,
    slices: int = 3,
    shared: Iterable[tuple[int, int]] = (),
) -> pathlib.Path:
    """Writes `patients` of `slices` images; every second patient bleeds.

    `shared` are pairs of patients of whom the second has a copy of the first one's first image.
    """
    data = root / "stage_2_train"
    data.mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for position in range(slices):
            number = patient * slices + position
            bleeds = [LABELS[1 + number % 5]] if patient % 2 and position else []
            rows += lines(f"ID_{number:09x}", bleeds)
            (data / f"ID_{number:09x}.dcm").write_bytes(image(number, patient, position))
    for first, second in shared:
        number, name = first * slices, f"ID_{0xFFF000 + 16 * first + second:09x}"
        content = make_dicom.disc(brain=20.0 + first, seed=number)
        original = image(number, second, slices, PixelData=content.astype("<i2").tobytes())
        (data / f"{name}.dcm").write_bytes(original)
        rows += lines(name)
    write_table(root, rows)
    return root
