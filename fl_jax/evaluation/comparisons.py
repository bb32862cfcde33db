"""Comparisons that a reviewer asks for: a margin, many tests at once, ranks and the worst site.

    non-inferior where the interval of (new - reference) lies above -margin, inferior where it lies below
    Holm: the k-th smallest of K p-values times K - k + 1, never below the one before, at most 1
    rank of a model on a site = 1 + how many models are better there; its mean over sites, in every resample

Sites must be resampled independently of each other (other seeds); models of one site on the same resamples.
"P(top three on every site)" is the share of resamples in which it holds: how stable the finding is under
new patients, not the probability that it is true of the models.

References: Piaggio et al., JAMA 2012; 308:2594-2604 (non-inferiority); Holm, Scand J Stat 1979; 6:65-70;
Hall and Miller, Ann Stat 2009; 37:3929-3959 (bootstrapped ranks).

| input | result |
|---|---|
| an undefined p-value | stays NaN and is not counted among the K |
| a model undefined on a site in a resample | no rank in it; counted as undefined |
| equal models | share the better rank |
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fl_jax.evaluation.bootstrap import Interval, Resampled, intervals
from fl_jax.evaluation.delong import Estimate

Floats = NDArray[np.float64]
Measured = Mapping[str, Mapping[str, Resampled]]
"""[site][model]."""


class NonInferiority(NamedTuple):
    """What a difference says about a margin.

    Attributes:
        margin: the loss of AUROC that would still be accepted, > 0.
        p: one-sided, of the hypothesis that the loss is at least the margin; NaN without an error.
        verdict: "non-inferior", "inferior", "inconclusive" or "undefined".
    """

    margin: float
    p: float
    verdict: str


class Ranks(NamedTuple):
    """A model's rank across sites.

    Attributes:
        mean: of the ranks on the data as they are, with its interval over resamples.
        top: share of resamples in which the model is in the top places on every site; NaN without one.
        first: share of resamples in which its mean rank is the best of all models.
        places: how many places "top" are.
    """

    mean: Interval
    top: float
    first: float
    places: int


def non_inferiority(difference: Estimate, margin: float) -> NonInferiority:
    """Whether a model loses less than a margin.

    Args:
        difference: new - reference, with the two-sided interval whose lower limit decides; of `delong`.
        margin: in AUROC, > 0, chosen before the data are seen.

    Returns:
        The `NonInferiority`.

    Raises:
        ValueError: margin is not above 0.
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
        p = float(stats.norm.sf((difference.estimate + margin) / difference.error))
    return NonInferiority(margin, p, verdict)


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values, which keep the chance of any false rejection among all of them.

    Args:
        p: float64[K] in [0, 1], NaN where a test is undefined.

    Returns:
        float64[K], in the same order.

    Raises:
        ValueError: a value lies outside [0, 1].
    """
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
    """Every model's rank across sites, in the data and in resamples of their patients.

    Args:
        measured: [site][model], every model on every site, resampled with one seed a site.
        statistic: its name; higher is better.
        places: how many places "top" are.
        level: coverage of the mean rank's interval.

    Returns:
        `Ranks` by model; none without sites.

    Raises:
        ValueError: sites differ in their models, or a model lacks the statistic.
    """
    models, estimates, samples = _stacked(measured, statistic)
    if not models:
        return {}
    drawn = _places(samples)
    whole = _places(estimates[..., None])[..., 0]
    means = Resampled(tuple(models), whole.mean(axis=0), drawn.mean(axis=0))
    every = np.all(drawn <= places, axis=0)
    best = means.samples == np.fmin.reduce(means.samples, axis=0)
    known = ~np.isnan(means.samples)

    def share(holds: NDArray[np.bool_], row: int) -> float:
        return float(holds[row, known[row]].mean()) if known[row].any() else float("nan")

    found = intervals(means, level)
    return {
        model: Ranks(found[model], share(every, row), share(best, row), places)
        for row, model in enumerate(models)
    }


def worst_site(
    measured: Measured, statistic: str, *, level: float = 0.95
) -> dict[str, tuple[str | None, Interval]]:
    """The site where each model does worst; a minimum of noisy estimates, so rather too low.

    Args:
        measured: [site][model], as for `ranks`.
        statistic: its name; higher is better.
        level: coverage of the interval of the minimum over sites.

    Returns:
        By model: the site, None where the statistic is undefined on one, and the `Interval`.

    Raises:
        ValueError: as `ranks`.
    """
    models, estimates, samples = _stacked(measured, statistic)
    if not models:
        return {}
    lowest = Resampled(tuple(models), estimates.min(axis=0), samples.min(axis=0))
    sites, found = list(measured), {}
    for row, (model, interval) in enumerate(intervals(lowest, level).items()):
        site = None if np.isnan(interval.estimate) else sites[int(estimates[:, row].argmin())]
        found[model] = site, interval
    return found


def _stacked(measured: Measured, statistic: str) -> tuple[list[str], Floats, Floats]:
    """The models, their estimates [D, M] and samples [D, M, R]."""
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


def _places(values: Floats) -> Floats:
    """Competition ranks along the models of float64[D, M, R]; NaN where undefined."""
    better = (values[:, :, None] < values[:, None]).sum(axis=2)
    return np.where(np.isnan(values), np.nan, 1.0 + better)
