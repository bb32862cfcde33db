"""Reads a file that must be accepted, or must be refused with a given reason."""

from fl_jax.data import dicom


def accepted(data, size=None):
    read = dicom.read(data, size=size)
    assert isinstance(read, dicom.Slice), read
    return read


def refused(data, reason, *words):
    read = dicom.read(data, size=None)
    assert isinstance(read, dicom.Refusal), f"not refused: {read}"
    assert read.reason == reason, read
    for word in words:
        assert word in read.detail
    return read
