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


def test_the_slice_is_the_same():
    before = dicom.read(person(), size=None, name="x")
    after = dicom.read(deidentify(person(), KEY).data, size=None, name="x")
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


def test_graphics_in_the_unused_bits_of_pixels_are_refused():
    original = make_dicom.dataset(**PLANTED)
    original.add_new(0x60000010, "US", 24)  # an overlay without data
    assert reason(make_dicom.encode(original)) is Reason.OVERLAY
    original.add_new(0x60003000, "OW", bytes(72))
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
