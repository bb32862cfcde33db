"""Whatever file a test of data reads, the scan gives what pydicom's parser gives, or leaves it to that."""

import pytest

from fl_jax.data.dicom import parse, scan


@pytest.fixture(autouse=True)
def _both_parsers_agree(monkeypatch):
    differ = []

    def scanned(data):
        header = scan.scan(data)
        if header is not None:
            parsed = parse.with_pydicom(data)
            differ.extend([] if header == parsed else [(header, parsed)])
        return header

    monkeypatch.setattr(parse, "scan", scanned)
    yield
    assert not differ
