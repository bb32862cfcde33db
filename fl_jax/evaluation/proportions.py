"""Proportions of slices with Wilson intervals that count patients as clusters.

    p = sum_g y_g / sum_g x_g                                   y_g of x_g slices of patient g
    v = G / (G - 1) sum_g (y_g - p x_g)^2 / (sum_g x_g)^2       variance of the ratio estimator
    n* = min(n, p (1 - p) / v)                                  effective sample size; n = sum_g x_g
    clustered interval = Wilson(p, n*)      naive interval = Wilson(p, n)

References: Wilson, J Am Stat Assoc 1927; 22:209-212; Cochran, Sampling Techniques, 1977, chapter 6 (ratio
estimator); Rao and Scott, Biometrics 1992; 48:577-585 (effective sample size of clustered binary data).

| input | estimate | clustered interval |
|---|---|---|
| no slice counts | NaN | NaN |
| p is 0 or 1, so that v is 0 | p | n* is the number of patients that count |
| slices of only one patient | p | n* = 1 |
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


class Proportion(NamedTuple):
    """Proportions with both intervals, each float64[...] in [0, 1]; NaN where nothing counts.

    Attributes:
        estimate: p.
        low: lower limit, patients as clusters.
        high: upper limit, patients as clusters.
        naive_low: lower limit as if slices were independent, hence too narrow.
        naive_high: upper limit, likewise.
    """

    estimate: Floats
    low: Floats
    high: Floats
    naive_low: Floats
    naive_high: Floats


def wilson(p: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's interval for real sample sizes (SciPy's takes only integers).

    Args:
        p: float64[...] proportions.
        n: float64[...] sample sizes > 0.
        level: coverage, in (0, 1).

    Returns:
        Lower and upper limits, float64[...]; NaN where p is NaN.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: pass a coverage between 0 and 1, such as 0.95")
    p, n = np.asarray(p, np.float64), np.asarray(n, np.float64)
    z = special.ndtri((1 + level) / 2)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # Exact limits at p = 0 and 1, which rounding would miss.
    return np.where(p == 0, 0.0, middle - reach), np.where(p == 1, 1.0, middle + reach)


def proportion(part: ArrayLike, whole: ArrayLike, level: float = 0.95) -> Proportion:
    """A proportion with its clustered and its naive interval.

    Args:
        part: float64[..., G], slices of each patient with the property.
        whole: float64[..., G], slices of each patient that count, >= part.
        level: coverage, in (0, 1).
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    if part.shape != whole.shape:
        raise ValueError(f"part has shape {part.shape} and whole {whole.shape}: pass both alike")
    n = whole.sum(axis=-1)
    n = np.where(n > 0, n, np.nan)
    p = part.sum(axis=-1) / n
    patients = (whole > 0).sum(axis=-1)
    squares = ((part - p[..., None] * whole) ** 2).sum(axis=-1)
    variance = squares * patients / (np.maximum(patients - 1, 1) * n**2)
    known = (variance > 1e-15) & (patients > 1)
    effective = np.array(patients, np.float64)
    np.divide(p * (1 - p), variance, out=effective, where=known)
    effective = np.minimum(effective, n)
    return Proportion(p, *wilson(p, effective, level), *wilson(p, n, level))
