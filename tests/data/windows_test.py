"""Windows against hand arithmetic; rotation against SciPy; augmentation by its promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from fl_jax.core.types import AIR
from fl_jax.data import windows


@pytest.fixture(name="hu")
def _hu():
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(4, 24, 20)), (0, 1, 1))
    return (smooth * 2000).astype(np.int16)


def test_brain_window_by_hand():
    hu = np.array([[-1000, 0, 20], [40, 80, 3000]], np.int16)
    got = windows.apply_windows(hu, (windows.Window(40, 80),))
    assert got.shape == (2, 3, 1)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got[..., 0], [[0, 0, 0.25], [0.5, 1, 1]], atol=1e-7)


def test_study_windows_by_hand():
    got = windows.apply_windows(np.full((1, 1), 60, np.int16))
    # (60 - 0) / 80, (60 - -20) / 200, (60 - -150) / 380
    np.testing.assert_allclose(got[0, 0], [0.75, 0.4, 210 / 380], rtol=1e-6)


def test_int16_and_float32_agree(hu):
    np.testing.assert_array_equal(
        windows.apply_windows(hu), windows.apply_windows(hu.astype(np.float32))
    )


@pytest.mark.parametrize("bad", [(), (windows.Window(40, 0),), (windows.Window(40, -80),)])
def test_bad_windows_are_named(bad):
    with pytest.raises(ValueError, match="windows"):
        windows.apply_windows(np.zeros((2, 2)), bad)


@pytest.mark.parametrize("degrees", [-20.0, 7.0, 20.0, 90.0])
def test_rotation_agrees_with_scipy(hu, degrees):
    square = hu[:, :20, :20].astype(np.float32)
    got = windows.rotate(square, np.full(4, degrees, np.float32), np.zeros(4, bool))
    want = scipy.ndimage.rotate(
        square,
        degrees,
        axes=(2, 1),
        reshape=False,
        order=1,
        mode="grid-constant",
        cval=AIR,
    )
    np.testing.assert_allclose(got, want, atol=0.05)


def test_on_an_accelerator_all_turn_at_once(hu, monkeypatch):
    given = hu, np.array([-20.0, 3.0, 0.0, 11.0], np.float32), np.array([True, False, True, False])
    one_by_one = windows.rotate(*given)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    # Of up to 2,000 HU from pixel to pixel, by float32 coordinates.
    np.testing.assert_allclose(windows.rotate(*given), one_by_one, atol=0.01)


def test_flip_mirrors_columns_before_the_turn(hu):
    angle = np.full(4, 11.0, np.float32)
    got = windows.rotate(hu, angle, np.array([True, False, True, False]))
    by_hand = np.where(np.array([1, 0, 1, 0])[:, None, None], hu[:, :, ::-1], hu)
    np.testing.assert_allclose(got, windows.rotate(by_hand, angle, np.zeros(4, bool)), atol=0.02)


def test_outside_is_air_and_nothing_leaves_the_range(hu):
    got = windows.augment(jax.random.key(1), np.full((8, 16, 16), 50, np.int16))
    assert float(got.min()) < -100  # corners were turned out of the picture
    assert float(got.max()) <= 50.001
    assert float(got.min()) >= -1000.001


def test_no_turn_and_no_flip_is_the_identity(hu):
    got = windows.augment(jax.random.key(0), hu, max_degrees=0.0, flip=False)
    np.testing.assert_allclose(got, hu, atol=1e-3)


def test_each_image_draws_its_own_turn_and_the_key_decides():
    same = jnp.tile(jnp.arange(64.0).reshape(1, 8, 8), (16, 1, 1))
    once = windows.augment(jax.random.key(3), same)
    assert len(np.unique(np.asarray(once)[:, 3, 1])) == 16
    np.testing.assert_array_equal(once, windows.augment(jax.random.key(3), same))
    assert not np.array_equal(once, windows.augment(jax.random.key(4), same))


def test_flips_are_about_half(hu):
    image = np.zeros((400, 4, 4), np.int16)
    image[:, :, 0] = 100
    got = np.asarray(windows.augment(jax.random.key(0), image, max_degrees=0.0))
    flipped = int((got[:, 0, 3] > 50).sum())
    assert 160 < flipped < 240  # four standard deviations of Binomial(400, 1/2)


@pytest.mark.parametrize("bad", [-1.0, 181.0, float("nan")])
def test_bad_angle_is_named(hu, bad):
    with pytest.raises(ValueError, match="max_degrees"):
        windows.augment(jax.random.key(0), hu, max_degrees=bad)


def test_channels_are_each_window_of_each_slice():
    hu = np.random.default_rng(0).integers(-200, 300, (2, 3, 5, 4)).astype(np.int16)
    shown = windows.channels(hu)
    assert shown.shape == (2, 5, 4, 9)
    for number in range(3):
        part = shown[..., 3 * number : 3 * number + 3]
        np.testing.assert_array_equal(part, windows.channels(hu[:, number]))
    brain = windows.channels(hu, windows.by_name(["brain"]))
    np.testing.assert_array_equal(brain, shown[..., ::3])
    with pytest.raises(ValueError, match="window 'bone': there are brain, subdural, soft_tissue"):
        windows.by_name(["bone"])


def test_adjacent_slices_turn_together():
    hu = np.random.default_rng(0).integers(-200, 300, (2, 3, 8, 8)).astype(np.int16)
    turned = windows.augment(jax.random.key(0), hu)
    for number in range(3):
        alone = windows.augment(jax.random.key(0), hu[:, number])
        np.testing.assert_allclose(turned[:, number], alone, atol=1e-3)
