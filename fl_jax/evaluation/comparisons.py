"""Comparisons between models: non-inferiority, multiple testing, ranks across sites, and the worst site.

    non-inferior if the interval of (new - reference) lies above -margin, inferior if it lies below
    Holm: the k-th smallest of K p-values times K - k + 1, monotone, at most 1
    rank of a model on a site = 1 + number of better models there; averaged over sites in every resample

Resample sites independently (different seeds) and the models of one site on the same resamples. "P(top three
on every site)" is the share of resamples in which this holds: the stability of the finding under new
patients, not the probability that it is true.

References: Piaggio et al., JAMA 2012; 308:2594-2604 (non-inferiority); Holm, Scand J Stat 1979; 6:65-70;
Hall and Miller, Ann Stat 2009; 37:3929-3959 (bootstrapped ranks).

| input | result |
|---|---|
| an undefined p-value | stays NaN and does not count among the K |
| a model undefined on a site in a resample | no rank in it; counted as undefined |
| equal models | share the better rank |
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fl_jax.evaluation.bootstrap import Interval, Resampled, intervals
from fl_jax.evaluation.delong import Estimate

Floats = NDArray[np.float64]
Measured = Mapping[str, Mapping[str, Resampled]]
"""[site][model], all models of a site resampled with one seed."""


class NonInferiority(NamedTuple):
    """The verdict of a non-inferiority test.

    Attributes:
        margin: largest acceptable loss of AUROC, > 0.
        p: one-sided, for the null hypothesis that the loss is at least the margin; NaN without a standard
            error.
        verdict: "non-inferior", "inferior", "inconclusive" or "undefined".
    """

    margin: float
    p: float
    verdict: str


class Ranks(NamedTuple):
    """A model's rank across sites.

    Attributes:
        mean: mean rank on the full data, with its interval over resamples.
        top: share of resamples in which the model is in the top places on every site; NaN without resamples.
        first: share of resamples in which its mean rank is the best.
        places: number of places that count as top.
    """

    mean: Interval
    top: float
    first: float
    places: int


def non_inferiority(difference: Estimate, margin: float) -> NonInferiority:
    """Tests whether a new model loses less than a margin.

    Args:
        difference: new - reference, from `delong`; the lower limit of its two-sided interval decides.
        margin: in AUROC, > 0, chosen before seeing the data.
    """
    if not margin > 0:
        raise ValueError(f"margin={margin}: must be above 0, such as 0.01 of AUROC")
    verdict = "inconclusive"
    if np.isnan(difference.low):
        verdict = "undefined"
    elif difference.low > -margin:
        verdict = "non-inferior"
    elif difference.high < -margin:
        verdict = "inferior"
    p = float("nan")
    if difference.error > 0:
        p = float(special.ndtr(-(difference.estimate + margin) / difference.error))
    return NonInferiority(margin, p, verdict)


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values of float64[K] in [0, 1], which control the family-wise error rate."""
    p = np.asarray(p, np.float64)
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"p holds {p[(p < 0) | (p > 1)][0]}: pass probabilities in [0, 1]")
    order = np.argsort(p)  # NaN last
    known = order[: np.count_nonzero(~np.isnan(p))]
    steps = p[known] * np.arange(known.size, 0, -1)
    adjusted = np.full(p.shape, np.nan)
    adjusted[known] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def ranks(
    measured: Measured, statistic: str, *, places: int = 3, level: float = 0.95
) -> dict[str, Ranks]:
    """Ranks every model across sites, on the data and on resamples of the patients.

    Args:
        measured: [site][model], every model on every site.
        statistic: its name; higher is better.
        places: number of places that count as top.
        level: coverage of the mean rank's interval.

    Returns:
        `Ranks` by model; empty without sites.

    Raises:
        ValueError: sites have different models, or a model lacks the statistic.
    """
    models, estimates, samples = stacked(measured, statistic)
    if not models:
        return {}
    resampled = competition_ranks(samples)
    full = competition_ranks(estimates[..., None])[..., 0]
    means = Resampled(tuple(models), full.mean(axis=0), resampled.mean(axis=0))
    on_top = np.all(resampled <= places, axis=0)
    best = means.samples == np.fmin.reduce(means.samples, axis=0)
    known = ~np.isnan(means.samples)

    def share(holds: NDArray[np.bool_], row: int) -> float:
        return float(holds[row, known[row]].mean()) if known[row].any() else float("nan")

    mean_ranks = intervals(means, level)
    return {
        model: Ranks(mean_ranks[model], share(on_top, row), share(best, row), places)
        for row, model in enumerate(models)
    }


def worst_site(
    measured: Measured, statistic: str, *, level: float = 0.95
) -> dict[str, tuple[str | None, Interval]]:
    """The site where each model does worst; as a minimum of noisy estimates it is biased downwards.

    Returns:
        By model: the site (None if the statistic is undefined on some site) and the `Interval`.
    """
    models, estimates, samples = stacked(measured, statistic)
    if not models:
        return {}
    lowest = Resampled(tuple(models), estimates.min(axis=0), samples.min(axis=0))
    sites, worst = list(measured), {}
    for row, (model, interval) in enumerate(intervals(lowest, level).items()):
        site = None if np.isnan(interval.estimate) else sites[int(estimates[:, row].argmin())]
        worst[model] = site, interval
    return worst


def stacked(measured: Measured, statistic: str) -> tuple[list[str], Floats, Floats]:
    """The models, their estimates [S, M] and samples [S, M, R]."""
    models = list(next(iter(measured.values()), {}))
    estimates, samples = [], []
    for site, row in measured.items():
        if sorted(row) != sorted(models):
            raise ValueError(
                f"measured[{site!r}] holds the models {sorted(row)}, another site {sorted(models)}: "
                "evaluate every model on every site"
            )
        absent = [model for model in models if statistic not in row[model].names]
        if absent:
            raise ValueError(f"measured[{site!r}][{absent[0]!r}] lacks the statistic {statistic!r}")
        at = [(row[model], row[model].names.index(statistic)) for model in models]
        estimates.append([resampled.estimate[place] for resampled, place in at])
        samples.append([resampled.samples[place] for resampled, place in at])
    return models, np.array(estimates), np.array(samples)


def competition_ranks(values: Floats) -> Floats:
    """Competition ranks along the models of float64[S, M, R]; NaN where undefined."""
    better = (values[:, :, None] < values[:, None]).sum(axis=2)
    return np.where(np.isnan(values), np.nan, 1.0 + better)
