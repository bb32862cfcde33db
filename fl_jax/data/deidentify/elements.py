"""The elements of a DICOM file that an export keeps, and how their values are checked.

A file may declare any VR and store any bytes in an element. A value is kept if it is as the VR in DICOM's
dictionary demands and contains no person's name and no value of `IDS` of the same file.
"""

import re
import struct
from collections.abc import Callable

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from fl_jax.data.dicom.character_sets import decoded
from fl_jax.data.dicom.parse import character_set
from fl_jax.data.dicom.refusal import TERMS

KEPT = (
    *("ImageType", "SOPClassUID", "Modality", "Manufacturer"),
    *("ManufacturerModelName", "BodyPartExamined", "ScanOptions", "SliceThickness", "KVP"),
    *("SpacingBetweenSlices", "DataCollectionDiameter", "ReconstructionDiameter"),
    *("DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight"),
    *("RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "FilterType"),
    *("GeneratorPower", "FocalSpots", "ConvolutionKernel", "PatientPosition"),
    *("SingleCollimationWidth", "TotalCollimationWidth", "SpiralPitchFactor", "RevolutionTime"),
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient"),
    *("ImageOrientationPatient", "SliceLocation", "SamplesPerPixel", "PhotometricInterpretation"),
    *("NumberOfFrames", "Rows", "Columns", "PixelSpacing", "PixelAspectRatio", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "SmallestImagePixelValue"),
    *("LargestImagePixelValue", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("BurnedInAnnotation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
    *("RescaleType", "LossyImageCompression", "LossyImageCompressionRatio"),
    *("LossyImageCompressionMethod", "PixelData"),
)
PERSONS = (
    *("PatientName", "PatientBirthName", "OtherPatientNames", "PatientMotherBirthName"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "RequestingPhysician"),
    *("NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "ResponsiblePerson"),
)
IDS = (
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate", "StudyDate"),
    *("InstitutionName", "PatientAddress", "DeviceSerialNumber", "StudyID"),
)
WORD = 4
"""Minimum length of a word that is searched within words; a shorter name must be a whole word."""
_NUMBER = re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *\0?| *")
_TEXT: dict[str, Callable[[str], object]] = {
    "CS": re.compile("[A-Z0-9_ ]{0,16}").fullmatch,
    "SH": lambda value: len(value) <= 16 and value.isprintable(),
    "LO": lambda value: len(value) <= 64 and value.isprintable(),
}
"""Validity of one value, by VR."""


def copy(
    original: pydicom.FileDataset, output: pydicom.Dataset, keyword: str, words: set[str]
) -> bool:
    """Copies what is as its VR in the dictionary demands, empties the rest; returns whether all was.

    Values of a text are emptied one by one: without `DERIVED`, a reformatted slice would look original.
    """
    tag = Tag(tag_for_keyword(keyword) or 0)
    element, vr = original.get_item(tag), dictionary_VR(tag)
    data = element.value or b""
    if not (isinstance(element, RawDataElement) and isinstance(data, bytes)) or element.VR == "SQ":
        setattr(output, keyword, None)
        return False
    if keyword in ("PixelData", "SOPClassUID"):  # `file` checks them
        valid = True
    elif vr in _TEXT:
        values = text(original, keyword).split("\\")
        # A patient may be called CT^Head.
        kept = [
            value if value in TERMS or (_TEXT[vr](value) and not _names(value, words)) else ""
            for value in values
        ]
        setattr(output, keyword, kept if len(kept) > 1 else kept[0])
        return kept == values
    elif vr in ("DS", "IS"):
        parts = data.split(b"\\")
        valid = all(_NUMBER.fullmatch(part) for part in parts)
        if vr == "IS":  # a series may be numbered by an accession number
            valid = valid and words.isdisjoint(part.strip(b" \0").decode() for part in parts)
    elif vr == "FD":  # eight letters are a number too, but an absurd one
        order = "<" if original.original_encoding[1] else ">"
        numbers = struct.unpack(f"{order}{len(data) // 8}d", data) if len(data) % 8 == 0 else [1e99]
        valid = all(number == 0 or 1e-6 < abs(number) < 1e6 for number in numbers)
    else:
        valid = len(data) <= 4  # US, SS: one or two
    if valid:
        same = keyword == "PixelData" or element.VR in (None, *vr.split(" or "))
        output[tag] = element if same else element._replace(VR=vr[:2])
    else:
        setattr(output, keyword, None)
    return valid


def text(original: pydicom.Dataset, keyword: str) -> str:
    """A text, whatever VR the file gives it, without padding; several values stay joined by `\\`."""
    tag = tag_for_keyword(keyword) or 0
    value = original.get_item(tag).value if tag in original else ""
    if isinstance(value, bytes):
        value = decoded(value, character_set(original))
    return str(value or "").strip(" \0\t\r\n")


def short(original: pydicom.FileDataset, name: str | BaseTag, missing: int = 1) -> int:
    """An unsigned short; `missing` if it is, as samples per pixel may be."""
    if name not in original:
        return missing
    order = "<" if original.original_encoding[1] else ">"
    return struct.unpack(f"{order}H", original.get_item(name).value)[0]


def words_of(original: pydicom.Dataset) -> set[str]:
    """The parts of persons' names, and the values of `IDS` and their words, in lower case."""
    persons = {word for keyword in PERSONS for word in _split(text(original, keyword)) if word[1:]}
    ids = [text(original, keyword).casefold() for keyword in IDS]
    several = {word for text in ids for word in (text, *_split(text)) if len(word) >= WORD}
    return persons | several


def _split(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _names(text: str, words: set[str]) -> bool:
    """Whether a text contains a word: within another one if it is long or not of ASCII letters."""
    folded = text.casefold()
    inside = (word for word in words if len(word) >= WORD or not word.isascii())
    return not words.isdisjoint(_split(folded)) or any(word in folded for word in inside)
