"""Writes series as DICOM CT Image Storage files, in the header dialects of real scanners and archives.

    HU = slope * stored + intercept      stored: signed 16 bit, unsigned 12 bit, or wrapped 12 bit

The wrapped dialect stores HU modulo 4096 as unsigned 12 bit with intercept 0, so air reads as 3096. The
public repair undoes it exactly for -1000 <= HU <= 3095: if BitsStored is 12, PixelRepresentation 0 and the
intercept above -100, add 1000, subtract 4096 from values of 4096 or more, and set the intercept to -1000.

References: DICOM PS3.3 A.3 (CT Image IOD), C.8.2.1 (CT Image Module), C.7.6.2; PS3.5 B.2 (UIDs "2.25.").
"""

import functools
import itertools
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fl_jax.files.atomic import named
from fl_jax.files.extras import extra
from fl_jax.files.regular import open_write
from fl_jax.phantom.scanner.geometry import Geometry
from fl_jax.phantom.scanner.scan import Scan, Scanner

with extra("ct"):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import correct_ambiguous_vr, write_dataset, write_file_meta_info
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

ROOT = uuid.UUID("5f0f7f86-6d4f-5cf0-9f7c-6d2a8c9f6b11")
"""Namespace of the cohort's UIDs."""


@dataclass(frozen=True)
class Dialect:
    """How a scanner encodes pixels and header.

    Attributes:
        name: short name for the cohort's truth table.
        signed: 16 bit two's complement if True, else unsigned 12 bit.
        intercept: RescaleIntercept, as written.
        padding: stored value outside the reconstruction circle; None for air.
        wrapped: store HU modulo 4096.
        window: WindowCenter and WindowWidth, as written.
        explicit: explicit rather than implicit VR little endian.
        thickness: whether to write SliceThickness.
    """

    name: str
    signed: bool
    intercept: str
    padding: int | None = None
    wrapped: bool = False
    window: tuple[str | list[str], str | list[str]] = ("40", "80")
    explicit: bool = True
    thickness: bool = True


class Person(NamedTuple):
    """The synthetic identity in the headers.

    Attributes:
        identifier: PatientID.
        age: years.
        sex: "F" or "M".
        date: StudyDate, YYYYMMDD.
        time: StudyTime, HHMMSS.
    """

    identifier: str
    age: int
    sex: str
    date: str
    time: str


def synthetic_uid(*parts: object) -> UID:
    """A UID of the synthetic cohort that depends on `parts` alone, e.g. ("series", patient identifier)."""
    return UID(f"2.25.{uuid.uuid5(ROOT, '/'.join(map(str, parts))).int}")


def encode(hu: np.ndarray, circle: np.ndarray, dialect: Dialect) -> np.ndarray:
    """Encodes HU, int16[n, M, M], as int16 or uint16[n, M, M] clipped to the dialect's range.

    `circle` is bool[M, M], False outside the reconstruction circle.
    """
    values = hu.astype(np.int32)
    if dialect.wrapped:
        return (np.clip(values, -1000, 3095) % 4096).astype(np.uint16)
    stored = values - int(float(dialect.intercept))
    stored = np.clip(stored, -32768, 32767) if dialect.signed else np.clip(stored, 0, 4095)
    if dialect.padding is not None:
        stored[:, ~circle] = dialect.padding
    return stored.astype(np.int16 if dialect.signed else np.uint16)


def write_series(
    folder: Path,
    names: list[str],
    scan: Scan,
    geometry: Geometry,
    scanner: Scanner,
    dialect: Dialect,
    person: Person,
) -> int:
    """Writes one file per slice into an existing folder and returns the bytes written.

    `names` are file names without `.dcm`, from the lowest slice up.
    """
    if len(names) != len(scan.hu):
        raise ValueError(
            f"names has {len(names)} entries for {len(scan.hu)} slices: pass one per slice"
        )
    stored = encode(scan.hu, scan.circle, dialect).astype("<u2", copy=False)
    header = series_header(geometry, scanner, dialect, person)
    explicit = dialect.explicit
    parts = _parts(header)
    meta = functools.cache(functools.partial(_file_meta, header.file_meta))
    written = 0
    for number, (name, pixels, position) in enumerate(
        zip(names, stored, geometry.positions, strict=True), start=1
    ):
        uid = _padded(synthetic_uid("image", name), b"\0")
        start = meta(len(uid)).replace(b"1" * len(uid), uid)
        values = (
            uid,
            _padded(f"{number}"),
            _padded("\\".join(f"{value:.5f}" for value in position)),
            _padded(f"{position[2]:.3f}"),
            pixels.tobytes(),
        )
        encoded = start + b"".join(
            part + _element(tag, vr, value, explicit)
            for part, (tag, vr), value in zip(parts, SLICE_ONLY.items(), values, strict=True)
        )
        path = folder / f"{name}.dcm"
        with named(path), open_write(path, "new") as file:
            written += file.write(encoded)
    return written


SLICE_ONLY = {
    0x00080018: b"UI",
    0x00200013: b"IS",
    0x00200032: b"DS",
    0x00201041: b"DS",
    0x7FE00010: b"OW",
}
"""Tags and VRs of what differs from slice to slice: UID, number, position, location, pixels."""


def _parts(header: Dataset) -> list[bytes]:
    """A series' header, encoded once because pydicom needs 2 ms: what comes before each of `SLICE_ONLY`."""
    header = correct_ambiguous_vr(header, is_little_endian=True)
    parts = []
    for low, high in itertools.pairwise((0, *SLICE_ONLY)):
        file = DicomBytesIO()
        file.is_little_endian = True
        file.is_implicit_VR = header.file_meta.TransferSyntaxUID.is_implicit_VR
        write_dataset(file, Dataset({e.tag: e for e in header if low < e.tag < high}))
        parts.append(file.getvalue())
    return parts


def _file_meta(meta: FileMetaDataset, length: int) -> bytes:
    """Preamble and file meta information, with as many ones as the image's UID has characters."""
    meta.MediaStorageSOPInstanceUID = UID("1" * length)
    file = DicomBytesIO()
    file.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(file, meta)
    return file.getvalue()


def _padded(value: str, filler: bytes = b" ") -> bytes:
    return value.encode("ascii") + filler * (len(value) % 2)


def _element(tag: int, vr: bytes, value: bytes, explicit: bool) -> bytes:
    """An element in little endian, DICOM PS3.5 7.1."""
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return start + struct.pack("<I", len(value)) + value
    if vr == b"OW":
        return start + vr + struct.pack("<HI", 0, len(value)) + value
    return start + vr + struct.pack("<H", len(value)) + value


def series_header(
    geometry: Geometry, scanner: Scanner, dialect: Dialect, person: Person
) -> Dataset:
    """The header shared by all slices of a series, without image UIDs, position and pixels."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.TransferSyntaxUID = (
        ExplicitVRLittleEndian if dialect.explicit else ImplicitVRLittleEndian
    )
    ds.file_meta.ImplementationClassUID = synthetic_uid("implementation")
    ds.file_meta.ImplementationVersionName = "FL_JAX_PHANTOM"
    _describe_person(ds, person)
    _describe_machine(ds, geometry, scanner, dialect)
    _describe_pixels(ds, geometry, dialect)
    return ds


def _describe_person(ds: Dataset, person: Person) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.StudyInstanceUID = synthetic_uid("study", person.identifier)
    ds.SeriesInstanceUID = synthetic_uid("series", person.identifier)
    ds.FrameOfReferenceUID = synthetic_uid("frame", person.identifier)
    ds.PositionReferenceIndicator = ""
    ds.Modality = "CT"
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(ds, keyword, person.date)
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(ds, keyword, person.time)
    ds.AccessionNumber = f"SYN{person.identifier[-8:].upper()}"
    ds.InstitutionName = "SYNTHETIC"
    ds.ReferringPhysicianName = "SYNTHETIC^PHYSICIAN"
    ds.StudyID = "1"
    ds.SeriesNumber = 2
    ds.AcquisitionNumber = 1
    ds.StudyDescription = "SYNTHETIC HEAD CT WITHOUT CONTRAST"
    ds.SeriesDescription = "SYNTHETIC HEAD AXIAL"
    ds.PatientName = f"SYNTHETIC^{person.identifier}"
    ds.PatientID = person.identifier
    ds.PatientBirthDate = ""
    ds.PatientSex = person.sex
    ds.PatientAge = f"{person.age:03d}Y"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "SYNTHETIC: no such person"
    ds.PatientComments = "Computer drawing of a patient who does not exist"
    ds.PatientPosition = "HFS"
    ds.BodyPartExamined = "HEAD"


def _describe_machine(ds: Dataset, geometry: Geometry, scanner: Scanner, dialect: Dialect) -> None:
    ds.Manufacturer = f"SYNTHETIC {scanner.maker}"
    ds.ManufacturerModelName = f"SYNTHETIC {scanner.name}"
    ds.SoftwareVersions = "SYNTHETIC 1"
    ds.ScanOptions = "AXIAL MODE"
    ds.KVP = str(scanner.kilovolts)
    ds.XRayTubeCurrent = scanner.exposure
    ds.ExposureTime = 1000
    ds.Exposure = scanner.exposure
    ds.ConvolutionKernel = scanner.kernel
    ds.GantryDetectorTilt = f"{geometry.tilt:.1f}"
    ds.ReconstructionDiameter = f"{geometry.field_of_view:.1f}"
    ds.DataCollectionDiameter = "250"
    ds.RotationDirection = "CW"
    if dialect.thickness:
        ds.SliceThickness = f"{geometry.thickness:g}"
    ds.SpacingBetweenSlices = f"{geometry.increment * np.cos(np.deg2rad(geometry.tilt)):.4f}"
    ds.ImageOrientationPatient = ["1", "0", "0", *(f"{value:.6f}" for value in geometry.down)]


def _describe_pixels(ds: Dataset, geometry: Geometry, dialect: Dialect) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = geometry.matrix
    ds.PixelSpacing = [f"{geometry.spacing:.6f}"] * 2
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if dialect.signed else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(dialect.signed)
    if dialect.padding is not None:
        ds.PixelPaddingValue = dialect.padding
    ds.WindowCenter, ds.WindowWidth = dialect.window
    if isinstance(dialect.window[0], list):
        ds.WindowCenterWidthExplanation = [f"WINDOW{i + 1}" for i in range(len(dialect.window[0]))]
    ds.RescaleIntercept = dialect.intercept
    ds.RescaleSlope = "1.000000" if "." in dialect.intercept else "1"
    ds.RescaleType = "HU"
