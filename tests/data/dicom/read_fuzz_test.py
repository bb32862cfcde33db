"""Whatever a file holds, `dicom.read` gives a slice that keeps its promises or a refusal that names it.

2,000 inputs by default, `FL_JAX_FUZZ=200000` for a night's. Input n is a function of the seed and n.
"""

import io
import math
import resource
import warnings
from typing import NamedTuple

import mutate_dicom
import numpy as np
import pydicom
import pytest
from compress_dicom import SYNTAXES, compress
from fuzzing import COUNT, count, each, nothing_written
from make_dicom import ct, dataset, disc
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from fl_jax.data import dicom
from fl_jax.phantom.dicom_writer import Person, write_series
from fl_jax.phantom.scanner.geometry import Pose, plan_slices
from fl_jax.phantom.scanner.scan import Scan
from fl_jax.phantom.sites import SITES

NATIVE = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
PERSON = Person("SYN_0123abcd", 71, "F", "20190314", "235959")


class Case(NamedTuple):
    """A mutated file, whether only pixels are gone, and the picture's wanted size."""

    data: bytes
    cut: bool
    size: int | None


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Files in parts, of every dialect of the phantom and a plain one; and files as bytes."""
    folder = tmp_path_factory.mktemp("phantom")
    geometry = plan_slices(
        pose=Pose(3.0, 4.0, 0.0, (0.0, 0.0)),
        tilt=10.0,
        field_of_view=230.0,
        matrix=32,
        thickness=2.5,
        increment=4.0,
        bottom=-2.0,
        top=2.0,
    )
    units = [unit for site in SITES for unit in site.units]
    hu = np.stack([disc(32, 32, seed=n) for n in range(len(geometry.positions))]).astype(np.int16)
    circle = np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]) < 1
    series = Scan(np.where(circle, hu, -1000).astype(np.int16), circle, *[np.zeros(1)] * 4)
    parts, other = (
        [mutate_dicom.parse(ct(BitsStored=12, PixelRepresentation=0, RescaleIntercept=-1024))],
        [],
    )
    for number, unit in enumerate(units):  # two units may have one dialect
        names = [
            f"{number}_{unit.dialect.name.replace(' ', '_')}_{n}" for n in range(len(series.hu))
        ]
        write_series(folder, names, series, geometry, unit.scanner, unit.dialect, PERSON)
        data = (folder / f"{names[0]}.dcm").read_bytes()
        if unit.dialect.explicit:
            parts.append(mutate_dicom.parse(data))
        else:
            other.append(data)
    twelve = {"BitsStored": 12, "PixelRepresentation": 0, "RescaleIntercept": -1024}
    other += [ct(syntax=s) for s in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)]
    for syntax in SYNTAXES:
        data = compress(dataset(disc(32, 32), **twelve), syntax)
        parts.append(mutate_dicom.parse(data))
        other.append(data)
    for file in parts:
        assert isinstance(dicom.read(file.encode(), size=None), dicom.Slice)
    for data in other[: -len(SYNTAXES)]:
        assert isinstance(dicom.read(data, size=None), dicom.Slice | dicom.Refusal)
    return parts, other


def mutated(generator, good):
    parts, other = good
    size = (None, 8, 33)[int(generator.integers(3))]
    if generator.integers(4):
        file = parts[int(generator.integers(len(parts)))]
        return Case(*mutate_dicom.mutate(generator, file), size)
    data = other[int(generator.integers(len(other)))]
    change = mutate_dicom.header_bytes if generator.integers(2) else mutate_dicom.whole_bytes
    return Case(change(generator, data), False, size)


def judge(case):
    """Holds one reading to what `dicom` promises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = dicom.read(case.data, size=case.size, name="the_file")
    if isinstance(read, dicom.Refusal):
        assert read.path == "the_file"
        assert isinstance(read.reason, dicom.Reason)
        assert read.detail
        assert len(read.detail) <= 400, f"{len(read.detail)} characters of detail"
        assert read.detail.isprintable(), read.detail
        return str(read.reason)
    assert isinstance(read, dicom.Slice)
    assert not case.cut, "pixels are missing, and there is a picture"
    low, high = dicom.HU_RANGE
    assert read.hu.dtype == np.int16
    assert read.hu.shape == (read.shape if case.size is None else (case.size, case.size))
    assert low <= read.hu.min() <= read.hu.max() <= high
    assert min(read.shape) >= 1
    for value in (read.patient, read.study, read.series):
        assert value
        assert value == value.strip()
        assert value.isprintable()
        assert len(value) <= 256
    assert math.isfinite(read.position)
    for value in (*read.spacing, read.thickness):
        assert math.isnan(value) or 0 < value < math.inf, f"{value} mm"
    assert math.isnan(read.tilt) or abs(read.tilt) <= 90, f"a tilt of {read.tilt} degrees"
    assert math.isfinite(read.dialect.slope)
    assert read.dialect.slope != 0
    if case.size is None and not read.repairs:
        plain = by_pydicom(case.data)
        if plain is not None:
            np.testing.assert_array_equal(read.hu, plain)
    return "slice"


def by_pydicom(data):
    """HU as pydicom alone reads an uncompressed file; None for others, and where it finds a VR wrong.

    It converts values by the VR that a file gives, `dicom` by the VR that an element has in the standard.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = pydicom.dcmread(io.BytesIO(data))
            syntax = read.file_meta.get("TransferSyntaxUID")
            if syntax not in NATIVE or read.PhotometricInterpretation.strip() != "MONOCHROME2":
                return None
            slope, intercept = float(read.RescaleSlope), float(read.RescaleIntercept)
            stored = read.pixel_array
        except Exception:
            return None
    return np.clip(np.rint(stored * slope + intercept), *dicom.HU_RANGE)


def test_no_file_breaks_the_promise(good, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with nothing_written(tmp_path):
        outcomes = each(1, count(2000), lambda generator: mutated(generator, good), judge)
    out, err = capfd.readouterr()
    assert not out
    assert not err
    assert outcomes["slice"] > 0.05 * sum(outcomes.values())  # mutants that are still files
    assert len(outcomes) > 12, outcomes  # and most reasons occur
    if COUNT:
        with capfd.disabled():
            print(dict(sorted(outcomes.items(), key=lambda item: -item[1])))
            print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


def test_an_input_is_a_function_of_seed_and_number(good):
    one, two = (mutated(np.random.default_rng((1, 7)), good) for _ in range(2))
    assert one == two
