"""SmoothGrad saliency maps, their parameter-randomisation check, and their overlap with known lesions.

    map = | mean_k d logit_l / d x (x + e_k) |,   e_k ~ N(0, noise^2),   in Hounsfield units

References: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017; Adebayo et al., "Sanity Checks
for Saliency Maps", NeurIPS 2018: a map that random parameters reproduce says nothing about what was learned.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from fl_jax.core.types import Array, Params
from fl_jax.evaluation.bootstrap import patient_weights

Floats = NDArray[np.float64]
Logits = Callable[[Params, Any], jax.Array]
Gradient = Callable[[Params, jax.Array, jax.Array], jax.Array]
AIR = -300
"""HU; below it a pixel is neither tissue nor bone."""


def gradient(logits: Logits) -> Gradient:
    """Compiles the gradient of a label's logit with respect to the pixels, in logit per HU.

    Returns:
        `(params, float32[B, H, W] HU, int[B] labels) -> float32[B, H, W]`.
    """

    def total(hu: jax.Array, params: Params, label: jax.Array) -> jax.Array:
        return jnp.take_along_axis(logits(params, hu), label[:, None], 1).sum()

    slope = jax.grad(total)
    return jax.jit(lambda params, hu, label: slope(hu, params, label))


def smooth_grad(
    slope: Gradient,
    params: Params,
    hu: Array,
    label: int | Array,
    key: jax.Array,
    *,
    samples: int = 16,
    noise: float = 5.0,
) -> jax.Array:
    """SmoothGrad: how strongly each pixel moves a label's logit.

    Args:
        slope: from `gradient`.
        params: of the model.
        hu: [B, H, W], Hounsfield units.
        label: one for all, or int[B].
        key: PRNG key of the noise.
        samples: K >= 1 noisy copies.
        noise: standard deviation, HU.

    Returns:
        float32[B, H, W] >= 0, logit per HU.
    """
    if samples < 1 or noise < 0:
        raise ValueError(
            f"samples={samples}, noise={noise}: pass at least 1 sample and at least 0 HU"
        )
    images = jnp.asarray(hu, jnp.float32)
    chosen = jnp.broadcast_to(jnp.asarray(label), images.shape[:1])
    # A Python loop: inside lax.scan, XLA:CPU computes a convolution's gradient seven times slower.
    summed = jnp.zeros_like(images)
    for sample_key in jax.random.split(key, samples):
        noisy = images + noise * jax.random.normal(sample_key, images.shape)
        summed += slope(params, noisy, chosen)
    return jnp.abs(summed / samples)


def randomised(params: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Params]:
    """Parameters by the part, such as `Conv_0`, taken from `other`, a new initialisation; and "all"."""
    single = {part: {**params, part: other[part]} for part in sorted(params)}
    return {**single, "all": dict(other)}


def similarity(first: NDArray[Any], second: NDArray[Any], where: NDArray[np.bool_]) -> Floats:
    """Spearman's rank correlation between two maps of each image.

    Args:
        first: [B, H, W].
        second: [B, H, W].
        where: bool[B, H, W], pixels to compare. Exclude pixels where both maps are 0: outside all windows, as
            in bone, every model has gradient 0, which would make any two maps similar.

    Returns:
        float64[B] in [-1, 1]; NaN if a map is constant or no pixel counts.
    """
    return np.array(
        [
            np.nan
            if not w.any() or np.ptp(a[w]) == 0 or np.ptp(b[w]) == 0
            else stats.spearmanr(a[w], b[w])[0]
            for a, b, w in zip(first, second, where, strict=True)
        ],
        np.float64,
    )


def head(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """The head, bool[B, H, W]: each slice's largest object in HU, holes filled; all False in air."""
    masks = np.zeros(hu.shape, np.bool_)
    for mask, image in zip(masks, hu, strict=True):
        solid = ndimage.binary_opening(image > AIR, iterations=2)
        parts = np.zeros(image.shape, np.int32)
        if ndimage.label(solid, output=parts):
            largest = 1 + np.bincount(parts.ravel())[1:].argmax()
            mask[:] = ndimage.binary_fill_holes(parts == largest)
    return masks


def share_inside(
    maps: NDArray[Any], lesion: NDArray[np.bool_], head: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Share of a map inside the lesion, and the lesion's share of the head (the chance level).

    Args:
        maps: [B, H, W] >= 0.
        lesion: bool[B, H, W].
        head: bool[B, H, W]; pixels outside are ignored.

    Returns:
        Both shares, float64[B] in [0, 1]; NaN if the map or the head is empty.
    """
    inside = np.where(lesion & head, maps, 0).sum((1, 2), dtype=np.float64)
    whole = np.where(head, maps, 0).sum((1, 2), dtype=np.float64)
    area = (lesion & head).sum((1, 2)) / np.maximum(head.sum((1, 2)), 1)
    shares = np.full(len(maps), np.nan)
    np.divide(inside, whole, out=shares, where=whole > 0)
    return shares, np.where(head.any((1, 2)), area, np.nan)


class Mean(NamedTuple):
    """A mean over slices with percentile bootstrap limits over patients, NaN with fewer than two patients."""

    estimate: float
    low: float
    high: float


def clustered_mean(
    values: NDArray[Any], patient: NDArray[Any], *, resamples: int, seed: int, level: float = 0.95
) -> Mean:
    """The mean over slices, ignoring NaN, with patients as clusters; NaN without values."""
    known = ~np.isnan(values)
    if not known.any():
        return Mean(np.nan, np.nan, np.nan)
    _, group = np.unique(patient[known], return_inverse=True)
    sums, counts = np.bincount(group, values[known]), np.bincount(group)
    estimate = float(sums.sum() / counts.sum())
    if len(counts) < 2:
        return Mean(estimate, np.nan, np.nan)
    weights = patient_weights(len(counts), resamples=resamples, seed=seed)
    low, high = np.quantile(
        (sums @ weights) / (counts @ weights), [(1 - level) / 2, (1 + level) / 2]
    )
    return Mean(estimate, float(low), float(high))
