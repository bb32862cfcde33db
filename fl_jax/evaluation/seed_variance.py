"""Uncertainty of an experiment repeated with K seeds, split into patients and training seeds.

    x_k     the statistic of seed k on the test patients       x_kr  the same in resample r
    patients = var over r of mean_k x_kr          seeds = var over k of x_k (K - 1)
    error^2  = patients + seeds / K               of the mean over seeds, by the law of total variance
    interval = mean_k x_k -+ t(df) error          df = (K - 1) (error^2 / (seeds / K))^2   (Satterthwaite)

All seeds meet the same test patients in the same resamples, so the patients' part does not shrink with K. The
observed spread between seeds includes the interaction of seeds and patients.

References: Searle, Casella and McCulloch, Variance Components, 1992, chapter 3; Satterthwaite, Biometrics
Bull 1946; 2:110-114; Bouthillier et al., MLSys 2021 (sources of variance in benchmarks).

| input | result |
|---|---|
| one seed | between, error, low and high NaN: other seeds are unknown |
| undefined for one of the seeds | all NaN |
| a resample in which a seed is undefined | dropped from `within` |
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from fl_jax.evaluation.bootstrap import Resampled


class Spread(NamedTuple):
    """A statistic over seeds, with standard deviations in its unit.

    Attributes:
        mean: over seeds.
        within: standard error of the mean over seeds due to the patients.
        between: standard deviation between seeds, of a single training.
        error: standard error of the mean over seeds, from both.
        low: lower limit of the mean's interval.
        high: upper limit.
        seeds: K.
    """

    mean: float
    within: float
    between: float
    error: float
    low: float
    high: float
    seeds: int


def spread(results: Sequence[Resampled], level: float = 0.95) -> dict[str, Spread]:
    """Separates within-seed from between-seed uncertainty, by statistic.

    Args:
        results: K of `bootstrap`, one per seed, on the same patients with the same weights.
        level: coverage of the intervals, in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: pass a coverage between 0 and 1, such as 0.95")
    shapes = {(result.names, result.samples.shape) for result in results}
    if len(shapes) != 1:
        raise ValueError(
            f"results are of {len(shapes)} kinds: pass the same statistics and resamples for every seed"
        )
    count = len(results)
    estimates = np.array([result.estimate for result in results])
    resampled = np.mean([result.samples for result in results], axis=0)
    spreads = {}
    for row, name in enumerate(results[0].names):
        known = resampled[row][~np.isnan(resampled[row])]
        patients = float(known.var(ddof=1)) if known.size > 1 else float("nan")
        seeds = float(estimates[:, row].var(ddof=1)) if count > 1 else float("nan")
        spreads[name] = _spread(float(estimates[:, row].mean()), patients, seeds, count, level)
    return spreads


def _spread(mean: float, patients: float, seeds: float, count: int, level: float) -> Spread:
    total = patients + seeds / count
    # Without spread between seeds, t becomes the normal distribution.
    freedom = (count - 1) * (total / (seeds / count)) ** 2 if seeds > 0 else np.inf
    reach = float(stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(total)) if count > 1 else np.nan
    within, between, error = (float(np.sqrt(v)) for v in (patients, seeds, total))
    if np.isnan(mean):
        within = between = error = reach = float("nan")
    return Spread(mean, within, between, error, mean - reach, mean + reach, count)
