"""Slices in any axial orientation read as the same radiological picture; unclear planes are refused."""

import numpy as np
import pytest
from make_dicom import ct, dataset, disc, encode
from reading import accepted, refused
from turn_dicom import TURNS, turned

from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, Repair

ORIENTATION = "ImageOrientationPatient"


def picture():
    """int32[20, 28] that equals none of its 7 turned copies."""
    hu = disc(20, 28)
    hu[2:5, 3:9], hu[12, 20:] = 70, 500
    return hu


@pytest.mark.parametrize("size", [None, 16, 40])
@pytest.mark.parametrize("tilt", [0, 20, -30])
def test_all_orientations_read_bit_for_bit_alike(tilt, size):
    cosine, sine = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    plain = dataset(
        picture(),
        **{ORIENTATION: ["1", "0", "0", "0", f"{cosine:.6f}", f"{-sine:.6f}"]},
        PixelSpacing=[0.75, 0.5],
    )
    wanted = accepted(encode(plain), size=size)
    assert wanted.repairs == ()
    if size is None:
        np.testing.assert_array_equal(wanted.hu, picture())
    for turn in TURNS[1:]:
        read = accepted(encode(turned(plain, *turn)), size=size)
        assert read.hu.tobytes() == wanted.hu.tobytes()
        assert (read.shape, read.spacing) == ((20, 28), (0.75, 0.5))
        assert read.position == pytest.approx(wanted.position, abs=1e-3)
        assert read.repairs == (Repair.TURNED,)


def test_directions_by_hand():
    # One pixel of bone at the patient's right (-x), in front (-y): on the left, at the top.
    hu = np.full((3, 4), -1000)
    for row, column, orientation in (
        (0, 0, [1, 0, 0, 0, 1, 0]),
        (2, 3, [-1, 0, 0, 0, -1, 0]),  # half a turn, as of a prone patient
        (0, 3, [-1, 0, 0, 0, 1, 0]),  # seen from the head: neurosurgical
        (2, 0, [1, 0, 0, 0, -1, 0]),
        (0, 0, [0, 1, 0, 1, 0, 0]),
        (2, 0, [0, 1, 0, -1, 0, 0]),  # quarter turns, as of a patient on the side
        (0, 3, [0, -1, 0, 1, 0, 0]),
        (2, 3, [0, -1, 0, -1, 0, 0]),
    ):
        stored = hu.copy()
        stored[row, column] = 1000
        read = accepted(ct(stored, **{ORIENTATION: orientation}))
        assert read.hu[0, 0] == 1000, orientation
        assert read.position == 42.5
        assert (Repair.TURNED in read.repairs) == (orientation != [1, 0, 0, 0, 1, 0])


@pytest.mark.parametrize("degrees", [-44, -20, 20, 44])
@pytest.mark.parametrize("turn", TURNS)
def test_a_rotated_reconstruction_goes_to_the_nearest(degrees, turn):
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    along = [cosine, sine, 0, -sine, cosine, 0]
    plain = dataset(picture(), **{ORIENTATION: [f"{x:.6f}" for x in along]})
    np.testing.assert_array_equal(accepted(encode(turned(plain, *turn))).hu, picture())


def test_patient_position_does_not_count():
    # Image Orientation is in patient coordinates, whatever lies on the table.
    for position in ("HFS", "FFS", "HFP", "FFP", "HFDR", ""):
        assert accepted(ct(PatientPosition=position)).repairs == ()


def test_turning_can_be_switched_off():
    data = ct(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    read = dicom.read(data, size=None, repairs=dicom.ALL_REPAIRS - {Repair.TURNED})
    assert isinstance(read, dicom.Refusal)
    assert (read.reason, "TURNED" in read.detail) == (Reason.REPAIR_OFF, True)


@pytest.mark.parametrize(
    ("orientation", "reason"),
    [
        (None, Reason.MISSING_GEOMETRY),
        ("", Reason.MISSING_GEOMETRY),
        ([1, 0, 0], Reason.BAD_GEOMETRY),
        ([1, 0, 0, 0, 1, 0, 0], Reason.BAD_GEOMETRY),
        ([0, 0, 0, 0, 0, 0], Reason.BAD_GEOMETRY),
        ([0.5, 0, 0, 0, 0.5, 0], Reason.BAD_GEOMETRY),
        ([1, 0, 0, 0.2, 0.98, 0], Reason.BAD_GEOMETRY),
        ([1, 0, 0, 1, 0, 0], Reason.BAD_GEOMETRY),
        ([1e200, 0, 0, 0, 1e200, 0], Reason.BAD_GEOMETRY),
        ([0, 1, 0, 0, 0, -1], Reason.NOT_AXIAL),  # sagittal
        ([1, 0, 0, 0, 0, -1], Reason.NOT_AXIAL),  # coronal
        ([1, 0, 0, 0, 0.694658, -0.71934], Reason.NOT_AXIAL),  # 46 degrees
        ([-0.694658, 0, 0.71934, 0, 1, 0], Reason.NOT_AXIAL),
    ],
    ids=str,
)
def test_unclear_orientations_are_refused(orientation, reason):
    refused(ct(**{ORIENTATION: orientation}), reason)


@pytest.mark.parametrize(
    "first", [b"nan   ", b"inf   ", b"-inf  ", b"1e999 ", b"1_0e-1", b"1,0000"]
)
def test_an_orientation_that_is_not_a_number(first):
    data = ct(ImageOrientationPatient=["1.0000", "0", "0", "0", "1", "0"])
    assert data.count(b"1.0000") == 1
    refused(data.replace(b"1.0000", first), Reason.BAD_GEOMETRY, ORIENTATION)


@pytest.mark.parametrize("z", [b"nan", b"inf", b"1e9", b"4_2", b"4.x", b"1\\2"])
def test_a_position_that_is_none(z):
    data = ct(ImagePositionPatient=["-120", "-120", "425"])
    assert data.count(b"425") == 1
    refused(data.replace(b"425", z), Reason.BAD_GEOMETRY, "ImagePositionPatient")
    refused(ct(ImagePositionPatient=""), Reason.MISSING_GEOMETRY)


def test_pixels_far_from_square_are_refused():
    refused(ct(PixelSpacing=["0.5", "50"]), Reason.BAD_GEOMETRY, "0.5 x 50 mm")
    refused(ct(PixelSpacing=["1e300", "1e-300"]), Reason.BAD_GEOMETRY)
    refused(ct(PixelSpacing=["0.5", "5e-324"]), Reason.BAD_GEOMETRY)
    assert accepted(ct(PixelSpacing=[0.5, 2])).spacing == (0.5, 2)
