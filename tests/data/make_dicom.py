"""Small DICOM files for tests: a bright disc of brain in air, with any header one likes."""

import io
import struct
import warnings
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def disc(rows: int = 24, columns: int = 24, brain: float = 35.0, seed: int = 0) -> np.ndarray:
    """int32[rows, columns] in HU: noisy brain inside a skull inside air."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    radius = np.hypot(x, y)
    hu = np.where(radius < 0.6, brain, np.where(radius < 0.75, 900.0, -1000.0))
    return np.rint(hu + rng.normal(0, 5, hu.shape)).astype(np.int32)


def dataset(hu: np.ndarray | None = None, **header: Any) -> pydicom.Dataset:
    """A CT slice as pydicom's Dataset; header=None deletes an element.

    `stored` replaces the pixel values, `syntax` the transfer syntax, `PixelData` the raw bytes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom dislikes what we write on purpose
        return _dataset(hu, header)


def _dataset(hu: np.ndarray | None, header: dict[str, Any]) -> pydicom.Dataset:
    syntax = header.pop("syntax", ExplicitVRLittleEndian)
    stored = header.pop("stored", None)
    values: dict[str, Any] = {
        "SOPClassUID": CT_IMAGE,
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientID": "P1",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "InstanceNumber": 7,
        "ImagePositionPatient": [-120, -120, 42.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.5, 0.5],
        "SliceThickness": 5,
        "GantryDetectorTilt": 0,
        "Manufacturer": "nobody",
        "ConvolutionKernel": "H30s",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    } | header
    if stored is None:
        slope, intercept = values["RescaleSlope"], values["RescaleIntercept"]
        hu = disc() if hu is None else hu
        stored = np.rint((hu - float(intercept or 0)) / float(slope or 1))
    stored = np.asarray(stored)
    values.setdefault("Rows", stored.shape[0])
    values.setdefault("Columns", stored.shape[1])
    values.setdefault("HighBit", int(values["BitsStored"] or 16) - 1)
    kind = "<i2" if values["PixelRepresentation"] else "<u2"
    values.setdefault("PixelData", stored.astype(np.int64).astype(kind).tobytes())
    original = pydicom.Dataset()
    for key, value in values.items():
        if value is not None:
            setattr(original, key, value)
    original.file_meta = FileMetaDataset()
    original.file_meta.TransferSyntaxUID = syntax
    original.file_meta.MediaStorageSOPClassUID = UID(values["SOPClassUID"] or CT_IMAGE)
    original.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    return original


def encode(original: pydicom.Dataset, **options: Any) -> bytes:
    """The bytes of the file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(buffer, original, enforce_file_format=True, **options)
    return buffer.getvalue()


def ct(hu: np.ndarray | None = None, **header: Any) -> bytes:
    """`encode(dataset(...))`."""
    return encode(dataset(hu, **header))


def with_pixel_length(data: bytes, length: int) -> bytes:
    """The file with another length of PixelData in its header."""
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    return data[:at] + struct.pack("<I", length) + data[at + 4 :]


def one_byte_short(last: int = -1000, before: int = -1000) -> bytes:
    """A file without its last byte, whose last two pixels are `before` and `last` HU."""
    hu = disc()
    hu[-1, -2:] = before, last
    return with_pixel_length(ct(hu, RescaleIntercept=-1024), 24 * 24 * 2 - 1)[:-1]
