"""A scanned header is the parsed one: on files of all dialects, and on thousands that are spoilt."""

import collections
import random
import re

import pydicom
import pytest
from compress_dicom import compress
from make_dicom import ct, dataset, encode
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from fl_jax.data.dicom import parse
from fl_jax.data.dicom.scan import scan

VRS = b"AE UN SQ OB US DS ZZ \0\0 UT AT UL CS UI PN OW FD".split()
FOURS = (b"\xff\xff\xff\xff", bytes(4), b"\x08\0\x05\0", b"\xfe\xff\x0d\xe0", b"\x02\0\x10\0")


def rich(syntax=None, undefined=False):
    """A file with what scanners add: a sequence, private elements, a character set, padding at the end."""
    original = dataset(SpecificCharacterSet="ISO_IR 100", **({"syntax": syntax} if syntax else {}))
    item = pydicom.Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    original.ReferencedImageSequence = [item]
    original["ReferencedImageSequence"].is_undefined_length = undefined
    original.add_new(0x00090010, "LO", "MAKER")
    original.add_new(0x00091001, "UN", b"abcd")
    original.add_new(0xFFFCFFFC, "OB", bytes(6))
    return encode(original)


PLAIN = {
    "explicit": ct(),
    "implicit": ct(syntax=ImplicitVRLittleEndian),
    "empty elements": ct(ImageType="", SliceThickness="", Manufacturer="", PatientID=""),
    "rich, explicit": rich(),
    "rich, implicit": rich(ImplicitVRLittleEndian),
}
DEFERRED = {
    "big endian": ct(syntax=ExplicitVRBigEndian),
    "deflated": ct(syntax=DeflatedExplicitVRLittleEndian),
    "compressed": compress(dataset(), "RLE"),
    "undefined length": rich(undefined=True),
    "another alphabet": encode(dataset(PatientID="Käthe", SpecificCharacterSet="ISO_IR 100")),
    "an unknown character set": ct(SpecificCharacterSet="KLINGON"),
    "several character sets": ct(SpecificCharacterSet=["ISO 2022 IR 6", "ISO 2022 IR 87"]),
    "an unknown VR": ct().replace(b"\x08\0\x60\0CS", b"\x08\0\x60\0ZZ", 1),
    "a switch to implicit": ct().replace(b"\x08\0\x60\0CS\x02\0", b"\x08\0\x60\0\x02\0\0\0", 1),
    "explicit in an implicit syntax": ct().replace(b".2.1\0\x02\0", b".2\0\0\0\x02\0", 1),
    "descending tags": ct().replace(b"\x18\0\x50\0DS", b"\x08\0\x50\0DS", 1),
    "a lying group length": ct()[:140] + bytes(4) + ct()[144:],
    "cut": ct()[:-1],
    "cut in a tag": ct()[:400],
    "bytes left over": ct() + b"\0\0\0",
    "not DICOM": b"PK\3\4" * 100,
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_is_scanned(name):
    header = scan(PLAIN[name])
    assert header is not None
    assert header == parse.with_pydicom(PLAIN[name])
    assert len(header.values) > 20


@pytest.mark.parametrize("name", DEFERRED)
def test_what_is_not_plain_is_left_to_pydicom(name):
    assert scan(DEFERRED[name]) is None


def spoilt(source: random.Random) -> bytes:
    data = bytearray(source.choice([*PLAIN.values()] * 12 + [*DEFERRED.values()]))
    pixels = bytes(data).rfind(b"\xe0\x7f\x10\x00")
    end = pixels + 14 if pixels > 0 else len(data)
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        at = source.randrange(128, min(end, len(data)))
        written = [match.start() + 132 for match in re.finditer(rb"[A-Z]{2}", bytes(data[132:end]))]
        change = source.randrange(7)
        if change == 0:
            data[at] = source.randrange(256)
        elif change == 1:
            data[at] ^= 1 << source.randrange(8)
        elif change == 2:
            del data[at : at + source.choice([1, 2, 4, 8, 12])]
        elif change == 3:
            data[at:at] = source.randbytes(source.choice([1, 2, 4, 8]))
        elif change == 4 and written:
            place = source.choice(written)
            data[place : place + 2] = source.choice(VRS)
        elif change == 5:
            data[at : at + 4] = source.choice(FOURS)
        elif source.random() < 0.3:
            return bytes(data[: source.randrange(len(data))])
    return bytes(data)


def compare(files: int, seed: int) -> collections.Counter[str]:
    source, counts = random.Random(seed), collections.Counter()
    for _ in range(files):
        data = spoilt(source)
        header = scan(data)
        if header is None:
            counts["deferred"] += 1
            continue
        counts["scanned"] += 1
        assert header == parse.with_pydicom(data)
    return counts


def test_spoilt_files_are_read_alike():
    counts = compare(3000, seed=0)
    assert min(counts["scanned"], counts["deferred"]) > 300


@pytest.mark.slow
def test_many_spoilt_files_are_read_alike():
    assert compare(200_000, seed=1)["scanned"] > 20_000
