"""The CT scanner: turns a drawn head into slices with partial volume, kernel, artefacts and noise.

    clean   = sum_planes profile * drawing                        partial volume along z
    error   = -h (0.6 b^2 + 0.25 b w) - log(1 + exp(p - 9.2))      hardening by bone, scatter; a sinogram
    slice   = kernel(clean) + FBP(error) + sd(x) * grain + FBP(quantum noise)
    sd(x)^2 ~ mean over rays through x of exp(p)                  fewer photons, more noise

p = b + w is the attenuation along a ray, b that of bone alone. Only artefacts are projected (see `radon`).

References: Joseph and Spital, J Comput Assist Tomogr 1978;2:100-108 (hardening); Barrett and Keat,
RadioGraphics 2004;24:1679-1691 (artefacts); Riederer, Pelc and Chesler, Phys Med Biol 1978;23:446-454 (noise
power spectrum of filtered back-projection).
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.fft

from fl_jax.core.types import AIR
from fl_jax.files.extras import extra
from fl_jax.phantom.drawing.grid import Drawing
from fl_jax.phantom.scanner import head_holder
from fl_jax.phantom.scanner.geometry import Geometry
from fl_jax.phantom.scanner.radon import Projector, projector

with extra("ct"):
    import cv2

WATER = 0.0193
"""Linear attenuation of water at an effective 70 keV, 1/mm (NIST XCOM)."""
COARSE = 72
"""Rows, columns and views of the artefacts' grid: pixels of 3.3 mm, as artefacts are smooth or streaks."""
PIXEL = 0.49
"""Reference pixel size (mm) of `Scanner.noise`: a 250 mm field in a 512 matrix."""
BONE = 150.0
"""HU from which a pixel of the artefacts' grid counts as bone."""
METAL = 30.0
"""Attenuation of metal relative to water; titanium has 13, steel and cobalt alloys over 40."""
SCATTER = 9.2
"""Attenuation at which scatter equals direct radiation at the detector."""


@dataclass(frozen=True)
class Scanner:
    """A scanner with one protocol.

    Attributes:
        name: model name in the header, after the word SYNTHETIC.
        maker: manufacturer, likewise.
        kernel: name of the reconstruction kernel.
        kilovolts: tube voltage, kV; only for the header.
        exposure: tube current times time, mAs; only for the header.
        thickness: slice thickness, mm.
        increment: table feed from slice to slice, mm.
        field_of_view: range of the image width, mm.
        tilt: range of the gantry tilt, degrees.
        blur: standard deviation of the in-plane point spread, mm.
        edge: gain of the edge enhancement, 0 for none.
        noise: standard deviation in the brain, HU, at 0.49 mm pixels.
        grain: peak of the noise power spectrum, cycles per mm; higher is finer.
        streaks: share of the noise's standard deviation that is low-frequency ray noise, in [0, 1].
        hardening: factor h of the residual beam hardening.
        offset: calibration error, HU.
        gain: relative calibration error.
        holder: one of `head_holder.STYLES`.
        iterative: share of an edge-preserving filter's result in the image, in [0, 1]: iterative
            reconstruction has less noise, in larger blots.
        strap: whether a strap lies over the forehead.
    """

    name: str
    maker: str
    kernel: str
    kilovolts: int
    exposure: int
    thickness: float
    increment: float
    field_of_view: tuple[float, float]
    tilt: tuple[float, float]
    blur: float
    edge: float
    noise: float
    grain: float
    streaks: float
    hardening: float
    offset: float
    gain: float
    holder: str
    iterative: float = 0.0
    strap: bool = False


class Scan(NamedTuple):
    """One reconstructed series, n slices.

    Attributes:
        hu: int16[n, M, M], HU, -1024 to 3071; air outside `circle`.
        circle: bool[M, M], the reconstruction circle.
        clean: float32[n, h, w], noise-free HU on the drawn grid.
        lesions: float32[5, n, h, w], share of the slice's thickness that each subtype fills, in [0, 1].
        brain: float32[n, h, w], share of the slice's thickness inside the skull, in [0, 1].
        noise: float32[n], standard deviation of the noise inside the skull, HU at 0.49 mm pixels.
    """

    hu: np.ndarray
    circle: np.ndarray
    clean: np.ndarray
    lesions: np.ndarray
    brain: np.ndarray
    noise: np.ndarray


def scan(
    drawing: Drawing,
    geometry: Geometry,
    scanner: Scanner,
    rng: np.random.Generator,
    *,
    motion: bool,
) -> Scan:
    """Scans a drawn head, in the order of `geometry.positions`.

    Args:
        drawing: the head on `geometry.grid`.
        geometry: of the slices.
        scanner: the machine.
        rng: random generator for noise and motion; equal states give equal bytes.
        motion: whether the patient moves during a few slices.
    """
    samples = len(geometry.grid.samples)
    clean = _average(drawing.hu, samples)
    lesions = np.zeros((len(drawing.lesions), *clean.shape), np.float32)
    for kind, mask in enumerate(drawing.lesions):
        if mask.any():
            lesions[kind] = _average(mask, samples)
    brain = _average(drawing.brain, samples)
    metal = None
    if drawing.metal is not None and drawing.metal.any():
        metal = _average(drawing.metal, samples)
        clean = np.maximum(clean, AIR + metal * 4071.0)

    moved = _move(clean, rng) if motion else {}
    artefact, sd = _artefacts(clean, brain, metal, moved, geometry, scanner, rng)
    for index, image in moved.items():
        clean[index] = 0.5 * (clean[index] + image)
    fine = sd * np.sqrt(1 - scanner.streaks**2)
    images = _reconstruct(clean, metal, artefact, fine, geometry, scanner, rng)
    images = images * (1 + scanner.gain) + scanner.offset
    inside = _coarse(brain) > 0.5
    level = [s[m].mean() if m.any() else 1.0 for s, m in zip(sd, inside, strict=True)]
    noise = scanner.noise * np.array(level, np.float32)
    matrix = geometry.matrix
    axis = np.arange(matrix) - (matrix - 1) / 2
    circle = np.hypot(axis[:, None], axis[None, :]) <= matrix / 2
    images[:, ~circle] = AIR
    hu = np.clip(np.rint(images), -1024, 3071).astype(np.int16)
    return Scan(hu, circle, clean, lesions, brain, noise)


def noise_spectrum(matrix: int, spacing: float, grain: float) -> np.ndarray:
    """Noise amplitude per spatial frequency, seen through square pixels of `spacing` mm.

    Power ~ f^0.7 exp(-(f / grain)^2), f in cycles per mm, with a standard deviation of 1 at 0.49 mm pixels;
    larger pixels average more and have less.

    Returns:
        float32[matrix, matrix // 2 + 1], a factor for the `rfft2` of unit white noise.
    """

    whole = _noise_power(grain)
    fy, fx = scipy.fft.fftfreq(matrix, spacing)[:, None], scipy.fft.rfftfreq(matrix, spacing)
    seen = _seen_power(fx, fy, grain, spacing)
    return np.sqrt(seen / whole / spacing**2).astype(np.float32)


@functools.cache
def _noise_power(grain: float) -> float:
    """Variance of the noise at 0.49 mm pixels before it is brought to 1."""
    fine = np.linspace(-4, 4, 513)
    fy, fx = np.meshgrid(fine, fine[256:])
    return 2 * _seen_power(fx, fy, grain, PIXEL).mean() * 32


def _seen_power(fx: np.ndarray, fy: np.ndarray, grain: float, spacing: float) -> np.ndarray:
    f = np.hypot(fx, fy)
    return (
        f**0.7 * np.exp(-((f / grain) ** 2)) * (np.sinc(fx * spacing) * np.sinc(fy * spacing)) ** 2
    )


def _average(planes: np.ndarray, samples: int) -> np.ndarray:
    """Partial volume: each slice, float32[n, h, w], is the mean of its planes."""
    parts = planes.reshape(-1, samples, *planes.shape[1:])
    return np.asarray(parts.mean(axis=1, dtype=np.float32))


def _move(clean: np.ndarray, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """The head's second position in a few neighbouring slices, by slice."""
    first = int(rng.integers(len(clean) // 4, max(len(clean) * 3 // 4, len(clean) // 4 + 1)))
    size = clean.shape[-1]
    moved = {}
    for index in range(first, min(first + int(rng.integers(2, 5)), len(clean))):
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.normal(0, 1.8)), 1.0)
        turn[:, 2] += rng.normal(0, 1.8, 2)
        moved[index] = cv2.warpAffine(
            clean[index], turn, (size, size), borderMode=cv2.BORDER_CONSTANT, borderValue=AIR
        )
    return moved


def _artefacts(
    clean: np.ndarray,
    brain: np.ndarray,
    metal: np.ndarray | None,
    moved: dict[int, np.ndarray],
    geometry: Geometry,
    scanner: Scanner,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Artefacts (HU) and relative standard deviation of the noise, float32[n, COARSE, COARSE] each."""
    rays = projector(COARSE, COARSE)
    unit = WATER * geometry.field_of_view / COARSE
    heads = _coarse(clean)
    both = np.concatenate([1 + heads / 1000, (heads - BONE) / 1000])
    lengths = rays.forward(np.clip(both, 0, 4)) * np.float32(unit)
    paths, bone = lengths[:, : len(heads)], lengths[:, len(heads) :]
    soft = paths - bone
    error = -scanner.hardening * (0.6 * bone**2 + 0.25 * bone * soft)
    if metal is not None:  # hardening and photon starvation, as in Barrett and Keat
        extra = METAL * rays.forward(np.sqrt(_coarse(metal))) * np.float32(unit)
        error -= 0.3 * extra**2 / (1 + extra)
        paths += extra
    error -= np.log1p(np.exp(np.minimum(paths, 30) - SCATTER))
    for index, image in moved.items():
        error[:, index] += _inconsistency(rays, heads[index], _coarse(image[None])[0], unit)

    photons = np.exp(np.minimum(paths, 8.0))
    sd = np.sqrt(np.maximum(rays.mean_over_rays(photons), 1e-3))
    weight = _coarse(brain) > 0.5
    sd /= np.median(sd[weight]) if weight.any() else sd.max()
    quantum = np.sqrt(photons) * rng.standard_normal(photons.shape, dtype=np.float32)
    images = rays.reconstruct(np.concatenate([quantum, error], axis=1))
    ray_noise, artefact = images[: len(heads)], images[len(heads) :]
    spread = np.median(np.abs(ray_noise[weight])) / 0.6745 if weight.any() else 1.0
    artefact *= np.float32(1000 / unit)
    artefact += ray_noise * np.float32(scanner.streaks * scanner.noise / spread)
    return _out_of_bone(artefact, heads), sd


def _out_of_bone(artefact: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Gives bone its neighbours' artefact: its own is large, and would spread to the brain when enlarged."""
    out = np.empty_like(artefact)
    for k, (image, head) in enumerate(zip(artefact, heads, strict=True)):
        soft = (cv2.dilate(head, np.ones((3, 3), np.uint8)) < BONE).astype(np.float32)
        near = cv2.blur(image * soft, (7, 7)) / np.maximum(cv2.blur(soft, (7, 7)), 1e-3)
        out[k] = np.where(soft > 0, image, near)
    return out


def _inconsistency(
    rays: Projector, first: np.ndarray, second: np.ndarray, unit: float
) -> np.ndarray:
    """Sinogram of a head that jumps halfway through the rotation, minus the mean of both heads'."""
    both = rays.forward(np.clip(1 + np.stack([first, second]) / 1000, 0, 4)) * unit
    early = np.arange(len(both)) < len(both) // 2
    return np.where(early, 0.5, -0.5) * (both[:, 0] - both[:, 1])


def _reconstruct(
    clean: np.ndarray,
    metal: np.ndarray | None,
    artefact: np.ndarray,
    sd: np.ndarray,
    geometry: Geometry,
    scanner: Scanner,
    rng: np.random.Generator,
) -> np.ndarray:
    """Upsamples to float32[n, M, M] and adds holder, kernel, artefacts and noise."""
    size = (geometry.matrix, geometry.matrix)
    rest = head_holder.draw_holder(clean, geometry, scanner.holder, rng)
    strapped = _strapped(geometry, rng) if scanner.strap else {}
    amplitude = noise_spectrum(geometry.matrix, geometry.spacing, scanner.grain) * scanner.noise
    images = np.empty((len(clean), *size), np.float32)
    for k, image in enumerate(clean):
        x = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        x = np.maximum(x, rest)
        if k in strapped:
            x = np.maximum(x, head_holder.draw_strap(x, geometry, strapped[k]))
        x = cv2.GaussianBlur(x, (0, 0), max(scanner.blur / geometry.spacing, 0.15))
        if scanner.edge:
            x += scanner.edge * (x - cv2.GaussianBlur(x, (0, 0), 1.3 / geometry.spacing))
        x += cv2.resize(artefact[k], size, interpolation=cv2.INTER_CUBIC)
        if metal is not None and metal[k].any():  # streaks do not hide the metal
            x = np.maximum(x, AIR + 8000 * cv2.resize(metal[k], size))
        white = rng.standard_normal((size[0], size[1]), dtype=np.float32)
        grain = scipy.fft.irfft2(np.asarray(scipy.fft.rfft2(white)) * amplitude, s=size)
        x += grain * cv2.resize(sd[k], size, interpolation=cv2.INTER_LINEAR)
        if scanner.iterative:
            x += scanner.iterative * (_denoised(x, geometry, scanner) - x)
        images[k] = x
    return images


def _strapped(geometry: Geometry, rng: np.random.Generator) -> dict[int, float]:
    """HU of the strap over the forehead, by slice."""
    heights = geometry.positions[:, 2]
    low, hu = rng.uniform(0.0, 40.0), float(rng.uniform(-500, 0))
    return {int(k): hu for k in np.flatnonzero((heights > low) & (heights < low + 35.0))}


def _denoised(image: np.ndarray, geometry: Geometry, scanner: Scanner) -> np.ndarray:
    """Neighbours of like HU averaged (Tomasi and Manduchi, ICCV 1998)."""
    reach = max(1.6 / geometry.spacing, 0.8)
    return cv2.bilateralFilter(image, 2 * int(np.ceil(reach)) + 1, 3.0 * scanner.noise, reach)


def _coarse(images: np.ndarray) -> np.ndarray:
    size = (COARSE, COARSE)
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
