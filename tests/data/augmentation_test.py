"""One interpolation against SciPy; intensities against hand arithmetic; draws by their promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from fl_jax.core.types import AIR
from fl_jax.data.augmentation import LIMITS, NONE, Affine, Augmentation, affine, augment

KEY = jax.random.key(0)


@pytest.fixture(name="hu")
def _hu():
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(4, 24, 20)), (0, 1, 1))
    return (smooth * 2000).astype(np.int16)


def change(n, degrees=0.0, mirror=False, scale=1.0, down=0.0, right=0.0):
    return Affine(*(np.full(n, value) for value in (degrees, mirror, scale, down, right)))


def by_scipy(image, degrees, mirror, scale, down, right):
    """The same change from output to input coordinates, about the centre (H - 1) / 2, (W - 1) / 2."""
    angle, centre = np.deg2rad(degrees), (np.array(image.shape) - 1) / 2
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    back = np.diag([1, -1 if mirror else 1]) @ back
    offset = centre - back @ (centre + np.array([down, right]))
    return scipy.ndimage.affine_transform(
        image.astype(np.float64), back, offset, order=1, mode="grid-constant", cval=AIR
    )


@pytest.mark.parametrize("degrees", [-20.0, 7.0, 20.0, 90.0])
def test_rotation_agrees_with_scipy(hu, degrees):
    square = hu[:, :20, :20].astype(np.float32)
    want = scipy.ndimage.rotate(
        square, degrees, axes=(2, 1), reshape=False, order=1, mode="grid-constant", cval=AIR
    )
    np.testing.assert_allclose(affine(square, change(4, degrees)), want, atol=0.05)


@pytest.mark.parametrize(
    "values",
    [
        (0.0, False, 1.0, 2.0, -3.0),
        (0.0, False, 0.85, 0.0, 0.0),
        (15.0, True, 1.15, 1.5, -0.75),
        (-25.0, True, 0.9, -2.25, 3.5),
    ],
)
def test_all_changes_at_once_are_one_interpolation_as_in_scipy(hu, values):
    got = affine(hu, change(4, *values))
    want = np.stack([by_scipy(image, *values) for image in hu])
    np.testing.assert_allclose(got, want, atol=0.05)


def test_a_shift_by_whole_pixels_moves_values():
    image = np.arange(16, dtype=np.int16).reshape(1, 4, 4)
    got = affine(image, change(1, down=1.0, right=-2.0))
    want = [[AIR] * 4, [2, 3, AIR, AIR], [6, 7, AIR, AIR], [10, 11, AIR, AIR]]
    np.testing.assert_array_equal(got[0], want)


def test_on_an_accelerator_all_images_change_at_once(hu, monkeypatch):
    given = Affine(
        np.array([-20.0, 3.0, 0.0, 11.0], np.float32),
        np.array([True, False, True, False]),
        np.array([0.9, 1.0, 1.1, 1.0], np.float32),
        np.array([0.0, 1.0, -1.5, 0.0], np.float32),
        np.zeros(4, np.float32),
    )
    one_by_one = affine(hu, given)
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *of, cpu, default: default(*of))
    # Of up to 2,000 HU from pixel to pixel, by float32 coordinates.
    np.testing.assert_allclose(affine(hu, given), one_by_one, atol=0.01)


def test_outside_is_air_and_nothing_leaves_the_range():
    flat = np.full((8, 16, 16), 50, np.int16)
    got = augment(jax.random.key(1), flat, Augmentation(zoom=0.15, shift=0.08))
    assert float(got.min()) < -100  # corners were turned out of the picture
    assert float(got.max()) <= 50.001
    assert float(got.min()) >= AIR - 0.001


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_nothing_is_the_identity(hu, dtype):
    np.testing.assert_array_equal(augment(KEY, hu.astype(dtype), NONE), hu)


ALL = Augmentation(zoom=0.15, shift=0.08, hu_offset=8, hu_gain=0.03, blur=0.8, noise=2.0)


def test_each_image_draws_its_own_and_the_key_decides():
    same = jnp.tile(jnp.arange(64.0).reshape(1, 8, 8), (16, 1, 1))
    for settings in (Augmentation(), ALL):
        once = augment(jax.random.key(3), same, settings)
        assert len(np.unique(np.asarray(once)[:, 3, 1])) == 16
        np.testing.assert_array_equal(once, augment(jax.random.key(3), same, settings))
        assert not np.array_equal(once, augment(jax.random.key(4), same, settings))


def test_flips_are_about_half():
    image = np.zeros((400, 4, 4), np.int16)
    image[:, :, 0] = 100
    got = np.asarray(augment(KEY, image, NONE._replace(flip=True)))
    flipped = int((got[:, 0, 3] > 50).sum())
    assert 160 < flipped < 240  # four standard deviations of Binomial(400, 1/2)


def test_zoom_and_shift_have_their_ranges():
    """A rectangle of 10 x 20 in 40 x 40: its area and centre tell what was drawn."""
    image = np.full((300, 40, 40), AIR, np.int16)
    image[:, 15:25, 10:30] = 0
    share = (np.asarray(augment(KEY, image, NONE._replace(zoom=0.2))) - AIR) / -AIR
    scale = np.sqrt(share.sum((1, 2)) / 200)
    assert scale.min() == pytest.approx(0.8, abs=0.02)
    assert scale.max() == pytest.approx(1.2, abs=0.02)
    share = (np.asarray(augment(KEY, image, NONE._replace(shift=0.1))) - AIR) / -AIR
    rows = (share.sum(2) * np.arange(40)).sum(1) / share.sum((1, 2)) - 19.5
    columns = (share.sum(1) * np.arange(40)).sum(1) / share.sum((1, 2)) - 19.5
    for moved in (rows, columns):
        assert moved.min() == pytest.approx(-4, abs=0.1)  # 10 % of 40 pixels
        assert moved.max() == pytest.approx(4, abs=0.1)
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2


def test_gain_keeps_water_and_offset_moves_all_by_as_much():
    image = np.tile(np.array([[0, 100], [-1000, 40]], np.int16), (500, 1, 1))
    got = np.asarray(augment(KEY, image, NONE._replace(hu_gain=0.1)))
    assert (got[:, 0, 0] == 0).all()
    gain = got[:, 0, 1] / 100
    assert gain.min() == pytest.approx(0.9, abs=0.002)
    assert gain.max() == pytest.approx(1.1, abs=0.002)
    np.testing.assert_allclose(got[:, 1, 0], -1000 * gain, rtol=1e-5)
    moved = np.asarray(augment(KEY, image, NONE._replace(hu_offset=8))) - image
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape), atol=1e-3)
    assert moved.min() == pytest.approx(-8, abs=0.1)
    assert moved.max() == pytest.approx(8, abs=0.1)
    both = np.asarray(augment(KEY, image, NONE._replace(hu_gain=0.1, hu_offset=8)))
    np.testing.assert_allclose(both, gain[:, None, None] * image + moved, atol=1e-3)


def test_half_of_the_images_are_blurred_by_a_gaussian():
    image = np.zeros((200, 31, 31), np.int16)
    image[:, 15, 15] = 1000
    got = np.asarray(augment(KEY, image, NONE._replace(blur=1.5)))
    assert 70 < (got[:, 15, 15] < 999).sum() < 130
    np.testing.assert_allclose(got.sum((1, 2)), 1000, rtol=1e-3)
    # Pixels sample the Gaussian, which below a third of a pixel nearly vanishes between them.
    variance = (got.sum(1) * (np.arange(31) - 15.0) ** 2).sum(1) / 1000
    assert variance.max() == pytest.approx(1.5**2, rel=0.05)
    most = int(variance.argmax())
    want = scipy.ndimage.gaussian_filter(1.0 * image[most], np.sqrt(variance[most]), truncate=9)
    np.testing.assert_allclose(got[most], want, atol=0.2)
    flat = np.full((8, 16, 16), 37, np.int16)  # up to the border
    np.testing.assert_allclose(augment(KEY, flat, NONE._replace(blur=1.5)), flat, atol=1e-3)


def test_noise_is_nearly_normal_and_correlated_as_in_ct():
    got = np.asarray(augment(KEY, np.zeros((100, 64, 64), np.int16), NONE._replace(noise=3.0)))
    sd = got.std((1, 2))
    assert sd.max() == pytest.approx(3, abs=0.2)
    assert sd.mean() == pytest.approx(1.5, abs=0.3)
    unit = got[sd > 0.5] / sd[sd > 0.5, None, None]
    assert abs(unit.mean()) < 0.01
    assert (unit**4).mean() == pytest.approx(2.7, abs=0.05)  # 3 - 1.2 / 4: four uniform bytes
    for other, by in (((1, 0), 0.5), ((0, 1), 0.5), ((1, 1), 0.25), ((2, 0), 0.0), ((0, 2), 0.0)):
        down, right = other
        product = unit[:, down:, right:] * unit[:, : 64 - down, : 64 - right]
        assert product.mean() == pytest.approx(by, abs=0.02)
    between = (unit[:-1] * unit[1:]).mean((1, 2))  # images, as if independent
    assert abs(between).max() < 0.15


@pytest.mark.parametrize("name", list(LIMITS))
@pytest.mark.parametrize("bad", [-1.0, float("nan"), 1e4])
def test_a_bad_amount_is_named(hu, name, bad):
    with pytest.raises(ValueError, match=f"^{name} is {bad}"):
        augment(KEY, hu, NONE._replace(**{name: bad}))


def test_adjacent_slices_change_together():
    hu = np.random.default_rng(0).integers(-200, 300, (2, 3, 8, 8)).astype(np.int16)
    changed = augment(KEY, hu, ALL._replace(noise=0.0))
    for number in range(3):
        alone = augment(KEY, hu[:, number], ALL._replace(noise=0.0))
        np.testing.assert_allclose(changed[:, number], alone, atol=1e-2)
    noise = np.asarray(augment(KEY, 0 * hu, NONE._replace(noise=3.0)))
    assert not np.allclose(noise[:, 0], noise[:, 1])
