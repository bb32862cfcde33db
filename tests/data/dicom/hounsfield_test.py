"""Each repair restores the values; pictures keep their mean and shape when resized."""

import numpy as np
import pytest
import scipy.ndimage
from make_dicom import ct, disc, one_byte_short
from reading import accepted, refused

from fl_jax.core.types import AIR
from fl_jax.data import dicom
from fl_jax.data.dicom import Reason, Repair


def wrapped():
    hu = np.maximum(disc(), -1000)
    return ct(stored=hu % 4096, BitsStored=12, PixelRepresentation=0)


def inverted():
    return ct(-disc(), PhotometricInterpretation="MONOCHROME1")


def padded():
    hu = disc()
    hu[0] = -2000
    return ct(hu)


def unextended():
    return ct(stored=disc() % 4096, BitsStored=12, PixelRepresentation=1)


@pytest.mark.parametrize(
    ("repair", "data"),
    [
        (Repair.WRAPAROUND, wrapped()),
        (Repair.INVERTED, inverted()),
        (Repair.PADDING, padded()),
        (Repair.SIGN, unextended()),
        (Repair.PAD_BYTE, one_byte_short()),
    ],
)
def test_a_repair_that_is_switched_off_is_a_refusal(repair, data):
    assert accepted(data).repairs == (repair,)
    others = dicom.ALL_REPAIRS - {repair}
    read = dicom.read(data, size=None, repairs=others)
    assert isinstance(read, dicom.Refusal)
    assert (read.reason, repair.name in read.detail) == (Reason.REPAIR_OFF, True)
    only = dicom.read(data, size=None, repairs=frozenset({repair}))
    assert isinstance(only, dicom.Slice)


def test_wraparound_by_the_published_rule():
    hu = np.maximum(disc(), -1000)  # such writers keep -1000 HU and more
    hu[3, 3] = 3000
    raw = hu % 4096
    read = accepted(ct(stored=raw, BitsStored=12, PixelRepresentation=0, RescaleIntercept=0))
    x = raw + 1000
    x[x >= 4096] -= 4096
    np.testing.assert_array_equal(read.hu, x - 1000)
    np.testing.assert_array_equal(read.hu, hu)
    assert read.repairs == (Repair.WRAPAROUND,)


@pytest.mark.parametrize("intercept", [-1024, -210])
def test_no_wraparound_where_air_has_room(intercept):
    stored = np.clip(disc() - intercept, 0, 4095)
    read = dicom.read(
        ct(stored=stored, BitsStored=12, PixelRepresentation=0, RescaleIntercept=intercept),
        size=None,
    )
    assert isinstance(read, dicom.Slice)
    assert Repair.WRAPAROUND not in read.repairs


def test_a_sign_bit_that_would_turn_bone_into_air_is_not_extended():
    stored = disc() + 1024
    stored[disc() > 500] += 600  # 12 bits, which the header calls signed
    header = {"BitsStored": 12, "PixelRepresentation": 1, "RescaleIntercept": -1024}
    refused(ct(stored=stored, **header), Reason.BIT_DEPTH, "without a sign")


@pytest.mark.parametrize("padding", [-1500, -2000, -3024])
def test_padding_becomes_air(padding):
    hu = disc()
    hu[:3] = padding
    read = accepted(ct(hu))
    assert (read.hu[:3] == -1024).all()
    np.testing.assert_array_equal(read.hu[3:], np.maximum(disc()[3:], -1024))
    assert read.repairs == (Repair.PADDING,)


def test_noise_in_air_is_no_padding_and_metal_is_clipped():
    hu = disc()
    hu[0, 0], hu[5, 5] = -1060, 9000
    read = accepted(ct(hu))
    assert read.repairs == ()
    assert (read.hu[0, 0], read.hu[5, 5]) == dicom.HU_RANGE


@pytest.mark.parametrize("bits", [12, 15])
def test_sign_bit_is_extended(bits):
    hu = np.clip(disc(), -1000, 2047)
    read = accepted(ct(stored=hu % 2**bits, BitsStored=bits))
    np.testing.assert_array_equal(read.hu, hu)
    assert read.repairs == (Repair.SIGN,)


@pytest.mark.parametrize(("bits", "signed"), [(12, 0), (16, 1)])
def test_inverted_monochrome1(bits, signed):
    header = {"BitsStored": bits, "PixelRepresentation": signed}
    header |= {"RescaleIntercept": 0 if signed else -1024}
    stored = disc() - header["RescaleIntercept"]
    inverted = (-1 if signed else 2**bits - 1) - stored
    read = accepted(ct(stored=inverted, PhotometricInterpretation="MONOCHROME1", **header))
    np.testing.assert_array_equal(read.hu, disc())
    assert read.repairs == (Repair.INVERTED,)


def test_monochrome1_without_air_either_way():
    hu = np.where(disc() < -500, 0, disc())
    hu[12, 12] = -900
    refused(ct(hu, PhotometricInterpretation="MONOCHROME1"), Reason.PHOTOMETRIC)


def test_halving_is_the_mean_of_four_and_the_studys_bilinear():
    hu = disc(32, 32)
    read = accepted(ct(hu), size=16)
    mean = np.clip(hu, *dicom.HU_RANGE).reshape(16, 2, 16, 2).mean((1, 3))
    np.testing.assert_allclose(read.hu, mean, atol=0.51)
    bilinear = scipy.ndimage.affine_transform(
        np.clip(hu, *dicom.HU_RANGE).astype(float), [2, 2], 0.5, (16, 16), order=1
    )
    np.testing.assert_allclose(read.hu, bilinear, atol=0.51)


def test_odd_factor_keeps_the_mean():
    hu = np.clip(disc(30, 30), *dicom.HU_RANGE)
    read = accepted(ct(hu), size=12)
    assert read.hu.shape == (12, 12)
    assert read.hu.mean() == pytest.approx(hu.mean(), abs=1)


@pytest.mark.parametrize(
    ("shape", "spacing", "inside"),
    [
        ((16, 32), [1, 1], (slice(4, 12), slice(0, 16))),  # wide: air above and below
        ((32, 16), [1, 1], (slice(0, 16), slice(4, 12))),  # tall: air left and right
        ((32, 32), [1, 0.5], (slice(0, 16), slice(4, 12))),  # square in pixels, tall in mm
        ((32, 16), [0.5, 1], (slice(0, 16), slice(0, 16))),  # tall in pixels, square in mm
    ],
)
def test_what_is_not_square_is_centred_on_air(shape, spacing, inside):
    hu = np.full(shape, 40)
    hu[0, 0] = -1000  # something below water, and not constant
    read = accepted(ct(hu, PixelSpacing=spacing), size=16)
    around = np.ones((16, 16), bool)
    around[inside] = False
    assert (read.hu[around] == AIR).all()
    assert np.median(read.hu[inside]) == 40
    assert (read.hu[inside] == 40).mean() > 0.98


def test_a_small_picture_grows():
    read = accepted(ct(disc(16, 16)), size=40)
    assert read.hu.shape == (40, 40)
    assert read.hu[20, 20] == pytest.approx(35, abs=15)
