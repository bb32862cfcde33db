"""The cluster bootstrap: confidence intervals that resample patients, as a patient's slices are dependent.

    w_r ~ Multinomial(G; 1/G, ..., 1/G)         how often each of G patients appears in resample r
    percentile interval = quantiles (1 -+ level)/2 of statistic(w_1), ..., statistic(w_R)
    BCa interval        = their quantiles Phi(z0 + (z0 -+ z) / (1 - a (z0 -+ z)))

z0 is the normal quantile of the share of resamples below the estimate, a is a sixth of the skewness of the
jackknife estimates. A statistic is a function of patient weights, so a resample never copies data. Two models
resampled with one seed on the same patients are compared in pairs. With strata (sites), each stratum keeps
its number of patients.

References: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 (percentile) and 14
(BCa: bias-corrected and accelerated); Field and Welsh, J R Stat Soc B 2007; 69:369-390 (the cluster
bootstrap).

| input | result |
|---|---|
| statistic undefined in the full sample | estimate, low and high NaN |
| undefined in some resamples (a class drawn empty) | dropped from the quantiles and counted |
| undefined in more than half of them | low and high NaN: no honest interval exists |
| statistic at its bound (AUROC 1) in every resample | an interval of width 0, which is too narrow |
| BCa with the estimate outside all resamples | low and high NaN |
| BCa with undefined jackknife estimates | those are dropped from a |
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
CHUNK = 16
"""Resamples per call of the statistic: bounds memory and keeps the work in cache."""
LARGEST_CHUNK = 256
"""For few examples, where a call costs more than its work."""
BLOCKS = 200
"""The most blocks of patients in the jackknife; with fewer patients, single patients."""


class Resampled(NamedTuple):
    """K statistics of one data set and their values in R resamples of its patients.

    Attributes:
        names: the K statistics.
        estimate: float64[K] on the full data; NaN where undefined.
        samples: float64[K, R]; NaN where undefined.
    """

    names: tuple[str, ...]
    estimate: Floats
    samples: Floats


class Interval(NamedTuple):
    """A statistic with its bootstrap interval.

    Attributes:
        estimate: on the full data; NaN where undefined.
        low: lower limit; NaN without an interval.
        high: upper limit; NaN without an interval.
        undefined: resamples dropped because the statistic was undefined in them.
        resamples: R.
    """

    estimate: float
    low: float
    high: float
    undefined: int
    resamples: int


def patient_weights(
    count: int, *, resamples: int, seed: int | Sequence[int], strata: ArrayLike | None = None
) -> Floats:
    """Draws how often each patient appears in each resample.

    Args:
        count: G >= 0 patients.
        resamples: R >= 1.
        seed: for NumPy's default generator; equal seeds, G and strata give equal weights.
        strata: [G] labels; each stratum keeps its number of patients. Default: one stratum.

    Returns:
        float64[G, R], non-negative integers; each stratum's columns sum to its size.
    """
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: at least 1 is needed, 1000 is usual")
    labels = np.zeros(count) if strata is None else np.asarray(strata)
    if labels.shape != (count,):
        raise ValueError(f"strata has shape {labels.shape}: pass one label per patient, ({count},)")
    rng = np.random.default_rng(seed)
    weights = np.empty((count, resamples))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        even = np.full(members.size, 1 / members.size)
        weights[members] = rng.multinomial(members.size, even, size=resamples).T
    return weights


def jackknife_weights(count: int, *, blocks: int = BLOCKS) -> Floats:
    """The delete-one-block jackknife, from which BCa takes its acceleration.

    Args:
        count: G >= 0 patients.
        blocks: the most blocks; patients are dealt to them at random and evenly.

    Returns:
        float64[G, min(G, blocks)] in {0, 1}.
    """
    if blocks < 2:
        raise ValueError(f"blocks={blocks}: at least 2 are needed, {BLOCKS} is usual")
    blocks = min(count, blocks)
    weights = np.ones((count, blocks))
    order = np.random.default_rng(0).permutation(count)
    weights[order, np.arange(count) % max(blocks, 1)] = 0
    return weights


def chunk_for(examples: int) -> int:
    """Resamples per call of a statistic of so many examples."""
    return min(max(2**14 // max(examples, 1), CHUNK), LARGEST_CHUNK)


def bootstrap(
    statistic: Callable[[Floats], Floats],
    names: Sequence[str],
    weights: Floats,
    *,
    chunk: int = CHUNK,
) -> Resampled:
    """Evaluates a vector-valued statistic on the full data and on every resample.

    Args:
        statistic: maps patient weights float64[G, r] to float64[K, r]; NaN where undefined.
        names: the K statistics.
        weights: float64[G, R] from `patient_weights`.
        chunk: resamples per call of the statistic, see `chunk_for`.
    """
    count, resamples = weights.shape
    estimate = statistic(np.ones((count, 1)))
    if estimate.shape != (len(names), 1):
        raise ValueError(
            f"statistic returned shape {estimate.shape} for weights of shape {(count, 1)}: "
            f"return [{len(names)}, 1], one row for each of names"
        )
    chunks = [statistic(weights[:, at : at + chunk]) for at in range(0, resamples, chunk)]
    return Resampled(tuple(names), estimate[:, 0], np.concatenate(chunks, axis=1))


def difference(first: Resampled, second: Resampled) -> Resampled:
    """The paired difference first - second, resample by resample.

    Args:
        first: statistics of one model.
        second: the same statistics of another model, with the same weights of the same patients.

    Returns:
        The differences; NaN where either is undefined.
    """
    if first.names != second.names or first.samples.shape != second.samples.shape:
        raise ValueError(
            f"first holds {len(first.names)} statistics x {first.samples.shape[-1]} resamples, second "
            f"{len(second.names)} x {second.samples.shape[-1]}: resample both alike to compare in pairs"
        )
    return Resampled(first.names, first.estimate - second.estimate, first.samples - second.samples)


def intervals(
    resampled: Resampled, level: float = 0.95, jackknife: Resampled | None = None
) -> dict[str, Interval]:
    """Percentile intervals, or BCa intervals if jackknife estimates are given.

    Args:
        resampled: from `bootstrap` or `difference`.
        level: coverage, in (0, 1).
        jackknife: the same statistics under `jackknife_weights`, for BCa.

    Returns:
        An `Interval` by name; the module's table lists what is undefined.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: pass a coverage between 0 and 1, such as 0.95")
    if jackknife is not None and jackknife.names != resampled.names:
        raise ValueError(
            f"jackknife holds {len(jackknife.names)} statistics where resampled holds "
            f"{len(resampled.names)}: evaluate the same statistic under both weights"
        )
    result = {}
    for row, name in enumerate(resampled.names):
        without = None if jackknife is None else jackknife.samples[row]
        estimate = float(resampled.estimate[row])
        result[name] = _interval(estimate, resampled.samples[row], level, without)
    return result


def _interval(estimate: float, samples: Floats, level: float, jackknife: Floats | None) -> Interval:
    defined = samples[~np.isnan(samples)]
    undefined = samples.size - defined.size
    low = high = float("nan")
    if not np.isnan(estimate) and defined.size * 2 >= samples.size:
        quantiles = np.array([(1 - level) / 2, (1 + level) / 2])
        if jackknife is not None:
            quantiles = _bca_quantiles(estimate, defined, jackknife, quantiles)
        if not np.isnan(quantiles).any():
            low, high = np.quantile(defined, quantiles).tolist()
    return Interval(estimate, low, high, undefined, samples.size)


def _bca_quantiles(
    estimate: float, samples: Floats, jackknife: Floats, quantiles: Floats
) -> Floats:
    """BCa's corrected quantiles; NaN where the bias correction is infinite."""
    below = ((samples < estimate).mean() + (samples <= estimate).mean()) / 2
    influence = np.nanmean(jackknife) - jackknife if not np.isnan(jackknife).all() else np.zeros(1)
    size = np.nansum(influence**2) ** 1.5
    acceleration = np.nansum(influence**3) / (6 * size) if size > 0 else 0.0
    bias = special.ndtri(below)
    if not np.isfinite(bias):
        return np.full(2, np.nan)
    shifted = bias + special.ndtri(quantiles)
    return special.ndtr(bias + shifted / (1 - acceleration * shifted))
