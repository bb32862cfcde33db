"""Slices of one patient are not independent, so an interval resamples patients, never slices.

    w_r ~ Multinomial(G; 1/G, ..., 1/G)         how often each of G patients is in resample r
    percentile interval = quantiles (1 -+ level)/2 of statistic(w_1), ..., statistic(w_R)
    BCa interval        = their quantiles Phi(z0 + (z0 -+ z) / (1 - a (z0 -+ z)))

where z0 is the normal quantile of the share of resamples below the estimate, and a a sixth of the skewness of
the estimates that leave out some of the patients in turn.

A statistic is any function of patient weights, so that a resample never copies data, and two models
that are resampled with the same seed on the same patients are compared in pairs. With strata (sites)
each stratum keeps its number of patients.

References: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 (percentile) and 14
(BCa: bias-corrected and accelerated); Field and Welsh, J R Stat Soc B 2007; 69:369-390 (the cluster
bootstrap).

| input | result |
|---|---|
| statistic undefined in the full sample | estimate, low and high NaN |
| undefined in some resamples (a class drawn empty) | left out of the quantiles and counted |
| undefined in more than half of them | low and high NaN: there is no honest interval |
| statistic at its bound (AUROC 1) in every resample | an interval of width 0, which is too narrow |
| BCa, and the estimate lies outside all resamples | low and high NaN |
| BCa, and leaving patients out leaves the statistic undefined | those are left out of a |
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
CHUNK = 16
"""Resamples in one call of the statistic: bounds the memory and keeps the work in the cache."""
BLOCKS = 200
"""The most blocks of patients that BCa leaves out in turn; single patients where they are fewer."""


class Resampled(NamedTuple):
    """K statistics of one data set and their values in R resamples of its patients.

    Attributes:
        names: the K statistics.
        estimate: float64[K] on the data as they are; NaN where undefined.
        samples: float64[K, R]; NaN where undefined.
    """

    names: tuple[str, ...]
    estimate: Floats
    samples: Floats


class Interval(NamedTuple):
    """A statistic with its bootstrap interval.

    Attributes:
        estimate: on the data as they are; NaN where undefined.
        low: lower limit; NaN where there is none.
        high: upper limit; NaN where there is none.
        undefined: resamples left out because the statistic was undefined in them.
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
    """How often each patient is in each resample.

    Args:
        count: G >= 0 patients.
        resamples: R >= 1.
        seed: of NumPy's default generator; the same seed, G and strata give the same weights.
        strata: [G] labels; each stratum keeps its number of patients. One stratum without it.

    Returns:
        float64[G, R], non-negative integers; the columns of a stratum sum to its size.

    Raises:
        ValueError: resamples is below 1, strata has another length than G.
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


def jackknife_weights(count: int, *, blocks: int = BLOCKS, seed: int | Sequence[int] = 0) -> Floats:
    """Everybody but one block of patients: the jackknife that BCa takes its acceleration from.

    Args:
        count: G >= 0 patients.
        blocks: the most blocks; patients are dealt to them at random and evenly.
        seed: of NumPy's default generator.

    Returns:
        float64[G, min(G, blocks)] in {0, 1}.

    Raises:
        ValueError: blocks is below 2.
    """
    if blocks < 2:
        raise ValueError(f"blocks={blocks}: at least 2 are needed, {BLOCKS} is usual")
    blocks = min(count, blocks)
    weights = np.ones((count, blocks))
    order = np.random.default_rng(seed).permutation(count)
    weights[order, np.arange(count) % max(blocks, 1)] = 0
    return weights


def bootstrap(
    statistic: Callable[[Floats], Floats], names: Sequence[str], weights: Floats
) -> Resampled:
    """Evaluates a vector-valued statistic on the data and on every resample.

    Args:
        statistic: maps patient weights float64[G, r] to float64[K, r]; NaN where undefined.
        names: the K statistics.
        weights: float64[G, R] of `patient_weights`.

    Returns:
        The `Resampled` statistics.

    Raises:
        ValueError: statistic does not return K rows.
    """
    count, resamples = weights.shape
    estimate = statistic(np.ones((count, 1)))
    if estimate.shape != (len(names), 1):
        raise ValueError(
            f"statistic returned shape {estimate.shape} for weights of shape {(count, 1)}: "
            f"return [{len(names)}, 1], one row for each of names"
        )
    chunks = [statistic(weights[:, at : at + CHUNK]) for at in range(0, resamples, CHUNK)]
    return Resampled(tuple(names), estimate[:, 0], np.concatenate(chunks, axis=1))


def difference(first: Resampled, second: Resampled) -> Resampled:
    """first - second, resample by resample: a paired comparison.

    Args:
        first: resampled on some patients.
        second: the same statistics with the same weights of the same patients.

    Returns:
        The differences; NaN where either is undefined.

    Raises:
        ValueError: the statistics or the number of resamples differ.
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
    """Interval of every statistic: percentile, or BCa where it is told how to accelerate.

    Args:
        resampled: of `bootstrap` or `difference`.
        level: coverage aimed at, in (0, 1).
        jackknife: the same statistics under `jackknife_weights`, for BCa.

    Returns:
        An `Interval` by name; see the module's table for what is undefined.

    Raises:
        ValueError: level is outside (0, 1), jackknife holds other statistics than resampled.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: pass a coverage between 0 and 1, such as 0.95")
    if jackknife is not None and jackknife.names != resampled.names:
        raise ValueError(
            f"jackknife holds {len(jackknife.names)} statistics where resampled holds "
            f"{len(resampled.names)}: evaluate the same statistic under both weights"
        )
    found = {}
    for row, name in enumerate(resampled.names):
        without = None if jackknife is None else jackknife.samples[row]
        estimate = float(resampled.estimate[row])
        found[name] = _interval(estimate, resampled.samples[row], level, without)
    return found


def _interval(estimate: float, samples: Floats, level: float, jackknife: Floats | None) -> Interval:
    defined = samples[~np.isnan(samples)]
    undefined = samples.size - defined.size
    low = high = float("nan")
    if not np.isnan(estimate) and defined.size * 2 >= samples.size:
        chosen = np.array([(1 - level) / 2, (1 + level) / 2])
        if jackknife is not None:
            chosen = _accelerated(estimate, defined, jackknife, chosen)
        if not np.isnan(chosen).any():
            low, high = np.quantile(defined, chosen).tolist()
    return Interval(estimate, low, high, undefined, samples.size)


def _accelerated(estimate: float, samples: Floats, jackknife: Floats, even: Floats) -> Floats:
    """The quantiles that BCa takes in place of the even ones; NaN where there are none."""
    below = ((samples < estimate).mean() + (samples <= estimate).mean()) / 2
    pull = np.nanmean(jackknife) - jackknife if not np.isnan(jackknife).all() else np.zeros(1)
    size = np.nansum(pull**2) ** 1.5
    bend = np.nansum(pull**3) / (6 * size) if size > 0 else 0.0
    bias = stats.norm.ppf(below)
    if not np.isfinite(bias):
        return np.full(2, np.nan)
    shifted = bias + stats.norm.ppf(even)
    return stats.norm.cdf(bias + shifted / (1 - bend * shifted))
