"""Where a model looks: SmoothGrad, its sanity check by random parameters, and its share inside known lesions.

map = | mean_k d logit_l / d x (x + e_k) |,   e_k ~ N(0, noise^2),   in Hounsfield units

Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017. Adebayo et al., "Sanity Checks for
Saliency Maps", NeurIPS 2018: a map that a model with random parameters gives too says nothing of learning.
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
"""HU under which a pixel is neither tissue nor bone."""


def gradient(logits: Logits) -> Gradient:
    """A compiled gradient of one label's logit in the pixels.

    Args:
        logits: `(params, float32[B, H, W] HU) -> float32[B, L]`, differentiable.

    Returns:
        `(params, float32[B, H, W] HU, int[B] labels) -> float32[B, H, W]`, logit per HU.
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
    """How strongly each pixel moves a label's logit.

    Args:
        slope: of `gradient`.
        params: the model's.
        hu: [B, H, W], Hounsfield units.
        label: whose logit; one for all or int[B].
        key: of the noise.
        samples: K >= 1 noisy copies.
        noise: standard deviation, HU.

    Returns:
        float32[B, H, W] >= 0, logit per HU.

    Raises:
        ValueError: samples is below 1 or noise is negative.
    """
    if samples < 1 or noise < 0:
        raise ValueError(
            f"samples={samples}, noise={noise}: give at least 1 sample and no less than 0 HU"
        )
    images = jnp.asarray(hu, jnp.float32)
    chosen = jnp.broadcast_to(jnp.asarray(label), images.shape[:1])
    # A loop of calls: in a lax.scan XLA:CPU takes seven times as long for a convolution's gradient.
    summed = jnp.zeros_like(images)
    for one in jax.random.split(key, samples):
        noisy = images + noise * jax.random.normal(one, images.shape)
        summed += slope(params, noisy, chosen)
    return jnp.abs(summed / samples)


def randomised(params: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Params]:
    """Models with one part's parameters replaced, and one with all.

    Args:
        params: the trained parameters by part, such as `Conv_0`.
        other: the same tree from another initialisation.

    Returns:
        By part, and "all".
    """
    single = {part: {**params, part: other[part]} for part in sorted(params)}
    return {**single, "all": dict(other)}


def similarity(first: NDArray[Any], second: NDArray[Any], where: NDArray[np.bool_]) -> Floats:
    """Spearman's rank correlation of two maps of each image.

    Args:
        first: [B, H, W].
        second: [B, H, W].
        where: bool[B, H, W], the pixels that count. Leave out where both maps are 0: beyond all windows, as
            in bone, no model has a slope, which would make any two alike.

    Returns:
        float64[B] in [-1, 1]; NaN where a map is constant or no pixel counts.
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
    """The largest thing on each slice, without table, holder and what is thin, its cavities filled.

    Args:
        hu: [B, H, W], Hounsfield units.

    Returns:
        bool[B, H, W]; all False where everything is air.
    """
    found = np.zeros(hu.shape, np.bool_)
    for at, one in enumerate(hu):
        solid = ndimage.binary_opening(one > AIR, iterations=2)
        parts = np.zeros(one.shape, np.int32)
        if ndimage.label(solid, output=parts):
            largest = 1 + np.bincount(parts.ravel())[1:].argmax()
            found[at] = ndimage.binary_fill_holes(parts == largest)
    return found


def share_inside(
    maps: NDArray[Any], lesion: NDArray[np.bool_], head: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Share of a map that lies inside the lesion, and the share that chance puts there.

    Args:
        maps: [B, H, W] >= 0.
        lesion: bool[B, H, W].
        head: bool[B, H, W]; what lies outside counts neither for the map nor for the lesion.

    Returns:
        Shares of the map and of the area, float64[B] in [0, 1]; NaN where the map or the head is empty.
    """
    inside = np.where(lesion & head, maps, 0).sum((1, 2), dtype=np.float64)
    whole = np.where(head, maps, 0).sum((1, 2), dtype=np.float64)
    area = (lesion & head).sum((1, 2)) / np.maximum(head.sum((1, 2)), 1)
    shares = np.full(len(maps), np.nan)
    np.divide(inside, whole, out=shares, where=whole > 0)
    return shares, np.where(head.any((1, 2)), area, np.nan)


class Mean(NamedTuple):
    """A mean over slices; limits by the percentile bootstrap of patients, NaN with fewer than two."""

    estimate: float
    low: float
    high: float


def clustered_mean(
    values: NDArray[Any], patient: NDArray[Any], *, resamples: int, seed: int, level: float = 0.95
) -> Mean:
    """The mean of slices with patients as clusters.

    Args:
        values: [N]; NaN is left out.
        patient: [N].
        resamples: of patients, >= 1.
        seed: of the resampling.
        level: coverage, in (0, 1).

    Returns:
        The mean and its interval; NaN without values.
    """
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
