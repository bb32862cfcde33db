"""Parallel-beam projection on a coarse grid, for artefacts only.

    forward      p[theta, s] = sum_pixels w(theta, s; pixel) * image[pixel]        (pixels; linear weights)
    adjoint      b[pixel]    = sum_{theta, s} w(theta, s; pixel) * p[theta, s]
    reconstruct  FBP(p)      = pi / A * adjoint(ramp * p)

Beam hardening, photon starvation and motion are smooth or streak-like, so a grid of 3-4 mm suffices. The
anatomy is never reconstructed and keeps its resolution.

Reference: Kak and Slaney, Principles of Computerized Tomographic Imaging, IEEE Press 1988, chapter 3.
"""

import functools
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.sparse


class Projector(NamedTuple):
    """Sparse projection matrices of one geometry, from `projector`.

    Attributes:
        size: rows = columns of the image, and number of detector bins.
        angles: views over 180 degrees.
        forward_matrix: float32[angles * size, size * size], sparse.
        adjoint_matrix: its transpose, sparse.
        ramp: float32[frequencies], band-limited ramp with Hann roll-off, for detector rows padded to twice
            their length.
    """

    size: int
    angles: int
    forward_matrix: scipy.sparse.csr_matrix
    adjoint_matrix: scipy.sparse.csr_matrix
    ramp: np.ndarray

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Line integrals float32[angles * size, n], the quantity times pixels of path.

        `images` is float32[n, size, size], any quantity per pixel; ignored outside the inscribed circle.
        """
        return self.forward_matrix @ _columns(images)

    def mean_over_rays(self, sinogram: np.ndarray) -> np.ndarray:
        """Averages float32[angles * size, n] over the rays of each pixel; 0 outside the inscribed circle."""
        return self._images(self.adjoint_matrix @ sinogram) / self.angles

    def reconstruct(self, sinogram: np.ndarray) -> np.ndarray:
        """Filtered back-projection of `forward`'s result: float32[n, size, size], the quantity per pixel."""
        padded = sinogram.reshape(self.angles, self.size, -1)
        spectrum = np.asarray(scipy.fft.rfft(padded, n=2 * self.size, axis=1))
        spectrum *= self.ramp[None, :, None]
        filtered = np.asarray(scipy.fft.irfft(spectrum, n=2 * self.size, axis=1))
        flat = np.ascontiguousarray(filtered[:, : self.size]).reshape(sinogram.shape)
        return self._images(self.adjoint_matrix @ flat) * np.float32(np.pi / self.angles)

    def _images(self, columns: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(columns.T).reshape(-1, self.size, self.size)


@functools.lru_cache(maxsize=4)
def projector(size: int, angles: int) -> Projector:
    """Builds the projection matrices of one geometry, once per process: 7 MB for 72 pixels and 72 views.

    `size` is rows = columns of the images, `angles` the views over 180 degrees; each at least 8.
    """
    if size < 8 or angles < 8:
        raise ValueError(f"size={size}, angles={angles}: pass at least 8 of each")
    centre = (size - 1) / 2
    y, x = (axis.ravel() - centre for axis in np.mgrid[:size, :size])
    inside = np.flatnonzero(np.hypot(x, y) < size / 2 - 1)
    theta = np.arange(angles) * np.pi / angles
    s = np.outer(np.cos(theta), x[inside]) + np.outer(np.sin(theta), y[inside]) + centre
    low = np.floor(s).astype(np.int64)
    share = (s - low).astype(np.float32)
    row = (np.arange(angles)[:, None] * size + low).ravel()
    column = np.tile(inside, angles)
    matrix = scipy.sparse.csr_matrix(
        (
            np.concatenate([1 - share.ravel(), share.ravel()]),
            (np.concatenate([row, row + 1]), np.concatenate([column, column])),
        ),
        shape=(angles * size, size * size),
        dtype=np.float32,
    )
    frequency = scipy.fft.rfftfreq(2 * size)
    ramp = frequency * (0.5 + 0.5 * np.cos(2 * np.pi * frequency))
    return Projector(size, angles, matrix, matrix.T.tocsr(), ramp.astype(np.float32))


def _columns(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.reshape(len(images), -1).T, dtype=np.float32)
