import numpy as np
import pytest

from fl_jax.phantom.scanner.radon import projector


def test_projection_of_a_disc_is_its_chord_and_comes_back():
    rays = projector(64, 64)
    y, x = np.mgrid[:64, :64] - 31.5
    disc = (np.hypot(x, y) < 20).astype(np.float32)
    sinogram = rays.forward(np.stack([disc, 2 * disc]))
    assert sinogram.reshape(64, 64, 2)[:, 32, 0] == pytest.approx(40, abs=2)
    assert sinogram[:, 1] == pytest.approx(2 * sinogram[:, 0], abs=1e-3)
    image = rays.reconstruct(sinogram)[0]
    assert image[np.hypot(x, y) < 16].mean() == pytest.approx(1, abs=0.05)
    assert np.abs(image[(np.hypot(x, y) > 24) & (np.hypot(x, y) < 30)]).mean() < 0.05
