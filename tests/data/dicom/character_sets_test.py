import struct

import pytest
from make_dicom import ct

from fl_jax.data import dicom

HALF_WIDTH = b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"


def element(group, number, vr, value):
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def with_patient(value, character_set):
    data = ct(PatientID="PLACE")
    data = data.replace(element(0x10, 0x20, b"LO", b"PLACE"), element(0x10, 0x20, b"LO", value))
    first = element(8, 8, b"CS", b"ORIGINAL\\PRIMARY\\AXIAL")
    assert first in data
    return data.replace(first, element(8, 5, b"CS", character_set) + first)


def patient(value, character_set=b""):
    read = dicom.read(with_patient(value, character_set), size=None)
    assert isinstance(read, dicom.Slice), read
    return read.patient


@pytest.mark.parametrize(
    ("value", "character_set", "expected"),
    [
        ("山田太郎".encode("iso2022_jp"), b"\\ISO 2022 IR 87", "山田太郎"),
        ("山田".encode("iso2022_jp"), b"ISO 2022 IR 87", "山田"),
        (HALF_WIDTH, b"ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ=山田^太郎"),
        (b"\x1b$)C\xb1\xe8^\x1b$)C\xc8\xf1", b"\\ISO 2022 IR 149", "김^희"),
        ("王小东123".encode("gb18030"), b"GB18030", "王小东123"),
        ("王小东".encode("gbk"), b"GBK", "王小东"),
        ("Müller".encode(), b"ISO_IR 192", "Müller"),
        ("Иван".encode("iso8859_5"), b"ISO_IR 144", "Иван"),
        ("A\u3000B".encode(), b"ISO_IR 192", "A\u3000B"),
    ],
)
def test_character_sets_of_the_standard_are_read(value, character_set, expected):
    assert patient(value, character_set) == expected


@pytest.mark.parametrize(
    ("value", "character_set", "expected"),
    [
        (b"M\xfcller", b"ISO_IR 192", "M<fc>ller"),
        (b"M\xf6ller", b"ISO_IR 192", "M<f6>ller"),
        (b"M\xfcller", b"ISO_IR 999", "Müller"),
        (b"M\xfcller", b"\xff\xfe", "Müller"),
        ("山田".encode(), b"", "<e5><b1><b1><e7><94><b0>"),
        (b"\x1b$B;3\x1b(B", b"", "<1b>$B;3<1b>(B"),
    ],
)
def test_bytes_of_another_character_set_stay_distinct(value, character_set, expected):
    assert patient(value, character_set) == expected


def test_an_image_type_with_other_letters_still_has_several_values():
    data = ct(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER", "xy"]).replace(b"xy", b"\xc3\xbc")
    read = dicom.read(data, size=None)
    assert isinstance(read, dicom.Refusal)
    assert read.reason is dicom.Reason.LOCALIZER
