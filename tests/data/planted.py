"""Site folders whose files hold everything that must never leave them."""

import pathlib
import warnings

import make_site
import pydicom

SECRETS = {
    "PatientName": "Zyglewicz^Planted",
    "PatientBirthDate": "19480229",
    "AccessionNumber": "ACC5551234",
    "ReferringPhysicianName": "Quorvath^Referring",
    "InstitutionName": "Hospital of Planting",
    "OtherPatientIDs": "OTHER9988",
    "StudyDate": "20190317",
    "StudyTime": "235958",
    "StudyDescription": "head of Zyglewicz",
    "StudyID": "SID4433",
    "DeviceSerialNumber": "SERIAL7766",
    "ImageComments": "call Zyglewicz at home",
}


def write(root: pathlib.Path, sites: dict[str, int]) -> pathlib.Path:
    """A cohort with the secrets in every file, also in a sequence and in private elements."""
    make_site.write_cohort(root, sites)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in root.rglob("*.dcm"):
            plant(path)
    return root


def plant(path: pathlib.Path) -> None:
    """Adds the secrets to a file, and gives it identifiers that are easy to look for."""
    header = pydicom.dcmread(path)
    for keyword, value in SECRETS.items():
        setattr(header, keyword, value)
    header.PatientID = f"MRN7700{header.PatientID}"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        number = sum(map(ord, header[keyword].value))
        setattr(header, keyword, f"1.2.840.9876543.{number}.{header[keyword].value[-1]}")
    header.SOPInstanceUID = f"{header.SeriesInstanceUID}.{header.InstanceNumber}"
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    inner = pydicom.Dataset()
    inner.PatientName = SECRETS["PatientName"]
    header.RequestAttributesSequence = pydicom.Sequence([inner])
    block = header.private_block(0x0099, "Planted by Zyglewicz", create=True)
    block.add_new(1, "LO", "ACC5551234")
    header.preamble = b"Zyglewicz".ljust(128, b"\0")
    header.save_as(path)


def secrets(root: pathlib.Path) -> set[bytes]:
    """What must be planted nowhere: the values' parts, the IDs and the UIDs of all files under `root`."""
    planted = {part.encode() for value in SECRETS.values() for part in value.split("^")}
    planted |= {b"Zyglewicz", b"1.2.840.9876543", b"MRN7700"}
    for path in root.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        planted |= {header.PatientID.encode(), header.StudyInstanceUID.encode()}
    return planted


def leaks(folder: pathlib.Path, wanted: set[bytes]) -> list[tuple[str, bytes]]:
    """The files under `folder` whose name or bytes hold a secret, in any case, reversed or in UTF-16."""
    paths = sorted(folder.rglob("*"))
    contents = [(path.name, path.read_bytes() if path.is_file() else b"") for path in paths]
    return [
        (name, secret)
        for name, data in contents
        for secret in in_bytes(name.encode() + data, wanted)
    ]


def in_bytes(data: bytes, wanted: set[bytes]) -> list[bytes]:
    """The secrets that `data` holds in some spelling."""
    folded = data.lower()
    return [
        secret for secret in wanted if any(form in folded for form in spellings(secret.lower()))
    ]


def spellings(secret: bytes) -> list[bytes]:
    wide = [secret.decode().encode(f"utf-16-{order}") for order in ("le", "be")]
    return [secret, *wide] if secret.isdigit() else [secret, *wide, secret[::-1]]
