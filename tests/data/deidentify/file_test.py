import io
import re
import warnings

import make_dicom
import numpy as np
import pydicom
import pytest

from fl_jax.data import dicom
from fl_jax.data.deidentify.file import Reason, RefusedError, deidentify

KEY = bytes(range(32))
PLANTED = {
    "PatientName": "Wagenknecht^Gundula",
    "PatientID": "MRN-7741093",
    "PatientBirthDate": "19511223",
    "AccessionNumber": "ACC5550137",
    "StudyDate": "20190704",
    "StudyTime": "084512",
    "ReferringPhysicianName": "Haberland^Otto",
    "InstitutionName": "Klinikum Sankt Nirgendwo",
    "OperatorsName": "Zwetschge",
    "StudyDescription": "Sturz, Frau Wagenknecht",
    "PatientComments": "lives at Birkenallee 9",
    "FrameOfReferenceUID": "1.2.840.99.1234567",
    "StudyInstanceUID": "1.2.840.99.7654321",
    "SeriesInstanceUID": "1.2.840.99.7654321.2",
    "SOPInstanceUID": "1.2.840.99.7654321.2.5",
}


def person(**header):
    original = make_dicom.dataset(**PLANTED | header)
    original.private_block(0x0033, "ACME", create=True).add_new(1, "LO", "Gundula W.")
    original.ScheduledProcedureStepSequence = [pydicom.Dataset()]
    original.ScheduledProcedureStepSequence[0].PatientName = PLANTED["PatientName"]
    return make_dicom.encode(original)


def read(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data))


def reason(data, key=KEY):
    with pytest.raises(RefusedError) as refused:
        deidentify(data, key)
    return refused.value.reason


def test_nothing_that_was_planted_is_left():
    exported = deidentify(person(), KEY)
    for planted in PLANTED.values():
        for word in re.findall(r"[\w.]{4,}", planted):
            assert word.encode() not in exported.data, planted
    header = read(exported.data)
    assert header.PatientIdentityRemoved == "YES"
    assert header.DeidentificationMethod
    assert not any(element.tag.is_private for element in header)
    assert exported.data[:128] == bytes(128)


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [0, -1, 0, -1, 0, 0]])
def test_the_slice_is_the_same(orientation):
    original = person(ImageOrientationPatient=orientation)
    before = dicom.read(original, size=None, name="x")
    after = dicom.read(deidentify(original, KEY).data, size=None, name="x")
    assert isinstance(before, dicom.Slice)
    assert isinstance(after, dicom.Slice)
    np.testing.assert_array_equal(before.hu, after.hu)
    names = ("patient", "study", "series", "hu")
    assert before._replace(**dict.fromkeys(names)) == after._replace(**dict.fromkeys(names))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_pixels_and_transfer_syntax_stay(syntax):
    original = person(syntax=syntax)
    exported = read(deidentify(original, KEY).data)
    assert exported.file_meta.TransferSyntaxUID == syntax
    assert exported.PixelData == read(original).PixelData


def test_pseudonyms_keep_patients_studies_and_series_together():
    exported = [
        read(deidentify(person(**header), KEY).data)
        for header in (
            {},
            {"SOPInstanceUID": "1.2.3.9"},
            {"SeriesInstanceUID": "1.2.3.9.9"},
            {"PatientID": "MRN-0000001"},
        )
    ]
    patients, studies, series, images = (
        [str(header[keyword].value) for header in exported]
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    assert patients[0] == patients[1] == patients[2] != patients[3]
    assert len({*studies}) == 1
    assert series[0] == series[1] == series[3] != series[2]
    assert images[0] != images[1]
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (*studies, *series, *images))


def test_another_key_gives_other_pseudonyms_and_the_same_key_the_same_bytes():
    data = person()
    assert deidentify(data, KEY) == deidentify(data, KEY)
    assert deidentify(data, KEY).patient != deidentify(data, KEY[::-1]).patient


def test_a_kept_text_that_names_the_patient_is_emptied_and_said():
    exported = deidentify(person(BodyPartExamined="HEAD WAGENKNECHT"), KEY)
    assert exported.cleared == ("BodyPartExamined",)
    assert b"WAGENKNECHT" not in exported.data


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"BurnedInAnnotation": "YES"}, Reason.BURNED_IN),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Reason.NOT_CT),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Reason.NOT_CT),
        ({"PixelData": None}, Reason.NOT_CT),
        ({"PatientID": None}, Reason.MISSING_IDENTIFIERS),
        ({"SeriesInstanceUID": ""}, Reason.MISSING_IDENTIFIERS),
    ],
)
def test_what_must_not_be_exported_is_refused(header, expected):
    assert reason(person(**header)) is expected


def inside(original):
    """Everywhere that a name can stand, in one file."""
    inner = pydicom.Dataset()
    inner.PatientName, inner.ReferencedSOPInstanceUID = (
        PLANTED["PatientName"],
        "1.2.840.99.7654321.9",
    )
    for keyword in (
        "RequestAttributesSequence",
        "DigitalSignaturesSequence",
        "ReferencedImageSequence",
    ):
        setattr(original, keyword, [inner])
    for keyword in (
        "ImageComments",
        "ProtocolName",
        "SeriesDescription",
        "RequestedProcedureDescription",
    ):
        setattr(original, keyword, "Gundula Wagenknecht")
    original.private_block(0x0099, "Wagenknecht Planted", create=True).add_new(1, "LO", "Zwetschge")
    original.add_new(0x50000010, "US", 1)  # a curve
    original.add_new(0x50002500, "LO", "Wagenknecht")
    original.add_new(0x60000022, "LO", "Wagenknecht")  # an overlay's description
    original.add_new(0x60003000, "OW", b"Wagenknecht!")
    original.add_new(0x00420011, "OB", b"Wagenknecht!")  # an encapsulated document
    original.file_meta.SourceApplicationEntityTitle = "WAGENKNECHT"
    original.file_meta.PrivateInformationCreatorUID = "1.2.840.99.7654321"
    original.file_meta.PrivateInformation = b"Wagenknecht!"
    original.preamble = b"Wagenknecht".ljust(128, b"\0")
    data = make_dicom.encode(original)
    return data[:128].replace(bytes(11), b"Wagenknecht", 1) + data[128:]


@pytest.mark.parametrize("character_set", [None, "ISO_IR 192", "ISO_IR 100"])
def test_nothing_is_left_of_elements_that_are_not_kept(character_set):
    original = make_dicom.dataset(**PLANTED, SpecificCharacterSet=character_set)
    data = inside(original)
    folded = deidentify(data + b"Wagenknecht!" * 9, KEY).data.lower()
    for planted in (*PLANTED.values(), "Planted"):
        for word in re.findall(r"[\w.]{4,}", planted.lower()):
            assert word.encode() in data.lower(), word
            for spelling in (word, word[::-1]):
                assert spelling.encode() not in folded, word
                assert spelling.encode("utf-16-le") not in folded, word


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Manufacturer", "Wagenknecht"),
        ("Manufacturer", "xWAGENKNECHTx"),
        ("Manufacturer", "by Gundula W"),
        ("Manufacturer", "MRN-7741093"),
        ("Manufacturer", "Li"),
        ("Manufacturer", "Klinikum Sankt Nirgendwo"),
        ("Manufacturer", "x" * 65),
        ("Manufacturer", "a\x07b"),
        ("ConvolutionKernel", "山田太郎様"),
        ("ScanOptions", "ACC5550137"),
        ("ScanOptions", "Zwetschge"),
        ("SliceThickness", "Zwetschge"),
        ("InstanceNumber", "Zwetschge"),
        ("SeriesNumber", "7741093"),
        ("RevolutionTime", "Zwetschg"),
        ("SmallestImagePixelValue", "Zwetschg"),
        ("KVP", "Zwetschge"),
        ("ManufacturerModelName", "Zwetschge"),
        ("PixelAspectRatio", "Zwetschge"),
    ],
)
def test_a_kept_value_that_names_a_person_or_breaks_its_vr_is_emptied(keyword, value):
    original = make_dicom.dataset(
        **PLANTED,
        SpecificCharacterSet="ISO_IR 192",
        PatientBirthName="山田^太郎",
        OtherPatientNames="Li^X",
    )
    inner = pydicom.Dataset()
    inner.PatientComments = value
    if keyword in original:
        del original[keyword]
    if keyword == "ManufacturerModelName":
        original.add_new(keyword, "SQ", [inner])
    else:
        original.add_new(keyword, "OB", value.encode())
    data = make_dicom.encode(original)
    exported = deidentify(data, KEY)
    assert keyword in exported.cleared
    assert value.encode() not in exported.data
    assert keyword not in read(exported.data) or not read(exported.data)[keyword].value


def test_a_patient_called_like_a_term_of_the_standard_keeps_a_readable_file():
    exported = deidentify(person(PatientName="CT^Axial", OperatorsName="Primary"), KEY)
    assert exported.cleared == ()
    assert isinstance(dicom.read(exported.data, size=None), dicom.Slice)


def test_the_other_values_of_a_text_stay_in_place():
    exported = deidentify(person(ImageType=["DERIVED", "Wagenknecht", "MPR"]), KEY)
    assert exported.cleared == ("ImageType",)
    assert [*read(exported.data).ImageType] == ["DERIVED", "", "MPR"]


@pytest.mark.parametrize(
    ("extra", "expected"), [(b"Zwetschge ", Reason.SURPLUS), (b"\0\0", Reason.SURPLUS)]
)
def test_pixel_data_beyond_the_picture_is_refused(extra, expected):
    original = make_dicom.dataset(**PLANTED)
    original.PixelData += extra
    assert reason(make_dicom.encode(original)) is expected


def test_a_comment_in_compressed_pixels_is_refused():
    original = make_dicom.dataset(**PLANTED, syntax="1.2.840.10008.1.2.4.70")
    original.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xfe\0\x10wagenknecht\xff\xd9"])
    assert reason(make_dicom.encode(original)) is Reason.NAMED


def test_patients_of_undecodable_ids_stay_apart():
    """pydicom reads both as the same text with replacement characters."""
    plain = person(PatientID="M-ller", SpecificCharacterSet="ISO_IR 192")
    patients = {
        deidentify(plain.replace(b"M-ller", b"M%cller" % c), KEY).patient for c in b"\xf6\xfc"
    }
    assert len(patients) == 2


def test_graphics_in_the_unused_bits_of_pixels_are_refused():
    original = make_dicom.dataset(**PLANTED)
    original.add_new(0x60000010, "US", 24)  # an overlay without data
    assert reason(make_dicom.encode(original)) is Reason.OVERLAY
    original.add_new(0x60003000, "OW", bytes(72))
    original.add_new(0x60000102, "US", 12)  # the bit of the pixels
    assert reason(make_dicom.encode(original)) is Reason.OVERLAY
    original[0x60000102].value = 0
    assert bytes(72) in make_dicom.encode(original)
    assert not [
        e for e in read(deidentify(make_dicom.encode(original), KEY).data) if e.tag.group == 0x6000
    ]


def test_other_files_are_refused():
    assert reason(b"not DICOM at all" * 40) is Reason.NOT_DICOM
    assert reason(person()[:400]) in (Reason.DAMAGED, Reason.NOT_CT)


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="key has 31 bytes: give at least 32"):
        deidentify(person(), KEY[:31])
