"""DICOM files to slices, per CPU-second: 512 x 512 uncompressed files to HU at 256 x 256.

The floor reads the same file, takes its last bytes for pixels and resizes them, with no check at all. The
suite compares the project's reader and plain pydicom with it, and then reads many files to show that memory
stays flat.
"""

import itertools
import math
import resource
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from launch.benchmarks import measure, table

SIDE, SIZE = 512, 256
FILES = 100
MANY, EVERY = 20_000, 2_000
"""Files read for the memory figure, and how many between two readings."""
_HEAD = ("", "x floor", "range", "of the floor's rate", "slices/CPU-s", "")


def run(options: Any) -> dict[str, Any]:
    """Measures the readers with `options.repetitions`, then the memory in MB."""
    import cv2

    from fl_jax.data import dicom

    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder))
        readers = {"fl_jax": partial(dicom.read, size=SIZE), "pydicom": plainly}
        works = {name: partial(_each, reader, paths) for name, reader in readers.items()}
        floor = partial(_each, unchecked, paths)
        taken = measure.compare(floor, works, options.repetitions, hopeless=math.inf)
        figures = {
            name: took._asdict()
            | {
                "rate": 1 / took.processor,
                "slices_per_cpu_second": len(paths) / (taken["floor"].seconds * took.processor),
            }
            for name, took in taken.items()
        }
        rows = [_row(*line) for line in figures.items()]
        print(table.text(f"ingest: {SIDE} x {SIDE} to {SIZE}", _HEAD, rows), flush=True)
        memory = [round(mb, 1) for mb in growth(paths)]
    print(f"peak memory after each {EVERY:,} of {MANY:,} files, MB: {memory}", flush=True)
    return {"measured": figures, "memory_mb": memory}


def write(folder: Path) -> list[str]:
    """Writes files of noise in air, as a scanner writes slices; returns their paths."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    generator = np.random.default_rng(0)
    paths = []
    for number in range(FILES):
        made = pydicom.Dataset()
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, f"1.2.3.{number}"
        made.ImageType, made.Modality = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT"
        made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID = "P1", "1.2.3", "1.2.3.1"
        made.ImagePositionPatient, made.PixelSpacing = [-120, -120, number], [0.5, 0.5]
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        made.Rows = made.Columns = SIDE
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
        made.PixelRepresentation, made.RescaleSlope, made.RescaleIntercept = 0, 1, -1024
        hu = generator.normal(30, 10, (SIDE, SIDE))
        hu[:64] = -1000
        made.PixelData = (hu + 1024).astype("<u2").tobytes()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        paths.append(str(folder / f"{number}.dcm"))
        made.save_as(paths[-1], enforce_file_format=True)
    return paths


def unchecked(path: str) -> Any:
    """The floor: int16[256, 256] of whatever the file ends with."""
    import cv2

    pixels = np.frombuffer(Path(path).read_bytes()[-2 * SIDE * SIDE :], "<i2")
    return cv2.resize(pixels.reshape(SIDE, SIDE), (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def plainly(path: str) -> np.ndarray:
    """pydicom's pixels and rescale, and a mean of four."""
    import pydicom
    from pydicom.pixels.processing import apply_rescale

    header = pydicom.dcmread(path)
    hu = apply_rescale(header.pixel_array, header)
    return hu.reshape(SIZE, SIDE // SIZE, SIZE, SIDE // SIZE).mean((1, 3))


def growth(paths: Sequence[str]) -> list[float]:
    """Peak memory of this process in MB, noted as it reads."""
    from fl_jax.data import dicom

    noted = []
    for number, path in enumerate(itertools.islice(itertools.cycle(paths), MANY), 1):
        dicom.read(path, size=SIZE)
        if number % EVERY == 0:
            noted.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return noted


def _each(reader: Any, paths: Sequence[str]) -> None:
    for path in paths:
        reader(path)


def _row(name: str, line: dict[str, Any]) -> list[str]:
    return [
        name,
        *table.ratio(line),
        f"{line['rate']:.3f}",
        f"{line['slices_per_cpu_second']:,.0f}",
        table.NOISE if name == "floor" else "",
    ]
