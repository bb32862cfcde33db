"""Windows against hand arithmetic."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

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
