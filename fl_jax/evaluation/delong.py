"""The error of an AUROC, and of any difference of AUROCs, from one sort of the scores; patients as clusters.

With m positives x_i and n negatives y_j, psi(x, y) = [x > y] + [x = y] / 2, and G patients g:

    V10_i = mean_j psi(x_i, y_j)      V01_j = mean_i psi(x_i, y_j)      theta = mean_i V10_i
    a_g = sum_{i in g} (V10_i - theta) / m      b_g = sum_{j in g} (V01_j - theta) / n
    cov(r, s) = c10 sum_g a_g^r a_g^s + c01 sum_g b_g^r b_g^s + c11 sum_g (a_g^r b_g^s + b_g^r a_g^s)

with c = I / (I - 1) for the I10 patients that have a positive, the I01 that have a negative, and all G. Where
every example is its own patient this is DeLong's covariance. The sums are over patients, so that two models,
two labels, or the mean over labels are contrasts of one covariance matrix; where labels differ in I10 or I01
the geometric mean of their c is used.

References: DeLong, DeLong and Clarke-Pearson, Biometrics 1988; 44:837-845; Obuchowski, Biometrics 1997;
53:567-578 (clusters); Sun and Xu, IEEE Signal Process Lett 2014; 21:1389-1393 (midranks, O(N log N));
Pepe, The Statistical Evaluation of Medical Tests, 2003, section 5.2.5 (interval on the logit scale).

| input | area | error and interval | p |
|---|---|---|---|
| one class only, or no example | NaN | NaN | NaN |
| a class in one patient only | defined | NaN | NaN |
| perfect separation, or every score equal | 1, or 0.5 | error 0, width 0: too narrow | NaN |
| two models with equal scores | difference 0 | error 0, width 0 | 1 |
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from fl_jax.evaluation import roc

Floats = NDArray[np.float64]


class Placements(NamedTuple):
    """What one sort of N scores gives; see the module's formulas.

    Attributes:
        truth: bool[N].
        wins: float64[m], V10 of the positives in their order.
        losses: float64[n], 1 - V01 of the negatives in theirs.
    """

    truth: NDArray[np.bool_]
    wins: Floats
    losses: Floats


class Area(NamedTuple):
    """An AUROC and what each of G patients contributes to its error.

    Attributes:
        area: theta, in [0, 1]; NaN where a class is absent.
        positive: float64[G], a_g, scaled by the root of c10; NaN where a class is in fewer than 2 patients.
        negative: float64[G], b_g, scaled by the root of c01; NaN likewise.
        scale: the roots of c10 and of c01.
    """

    area: float
    positive: Floats
    negative: Floats
    scale: tuple[float, float]


class Estimate(NamedTuple):
    """An AUROC or a contrast of AUROCs.

    Attributes:
        estimate: of the contrast; NaN where undefined.
        error: its standard error.
        low: lower limit.
        high: upper limit.
        p: two-sided, of the hypothesis that the contrast is 0.
    """

    estimate: float
    error: float
    low: float
    high: float
    p: float


def placements(truth: ArrayLike, scores: ArrayLike) -> Placements:
    """Sorts one model's scores of one label.

    Args:
        truth: [N] in {0, 1}.
        scores: float64[N], probability or any increasing function of it; no NaN.

    Returns:
        The `Placements`, NaN where the other class is absent; O(N log N).

    Raises:
        ValueError: shapes differ, truth is not 0 or 1, a score is NaN.
    """
    truth, scores = roc.checked(truth, scores)
    m, ranks = int(truth.sum()), stats.rankdata(scores)
    n = truth.size - m
    wins = ranks[truth] - stats.rankdata(scores[truth])
    losses = ranks[~truth] - stats.rankdata(scores[~truth])
    return Placements(truth, wins / (n or np.nan), losses / (m or np.nan))


def clustered(found: Placements, groups: ArrayLike | None = None, count: int | None = None) -> Area:
    """The AUROC with every patient's contribution to its error.

    Args:
        found: of `placements`.
        groups: int[N] in [0, G), each example's patient; without it examples count as independent.
        count: G, where the last patients may have no example here.

    Returns:
        The `Area`; O(N).

    Raises:
        ValueError: groups has another length than N.
    """
    truth, wins, losses = found
    members, count = roc.members(truth.size, groups, count)
    if not wins.size or not losses.size:
        nothing = np.full(count, np.nan)
        return Area(np.nan, nothing, nothing, (np.nan, np.nan))
    theta = float(wins.mean())

    def shares(deviations: Floats, patients: NDArray) -> tuple[Floats, float]:
        clusters = np.count_nonzero(np.bincount(patients))
        root = np.sqrt(clusters / (clusters - 1)) if clusters > 1 else np.nan
        sums = np.bincount(patients, deviations, minlength=count)
        return root * sums / deviations.size, float(root)

    positive, ten = shares(wins - theta, members[truth])
    negative, one = shares((1 - losses) - theta, members[~truth])
    return Area(theta, positive, negative, (ten, one))


def area(
    truth: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None, count: int | None = None
) -> Area:
    """The AUROC of one model and label; arguments and errors as for `placements` and `clustered`."""
    return clustered(placements(truth, scores), groups, count)


def covariance(areas: Sequence[Area]) -> Floats:
    """The covariance of K AUROCs on the same patients: models, labels or both.

    Args:
        areas: K of `area`, with the same groups and count.

    Returns:
        float64[K, K]; NaN in the rows and columns of an AUROC without an error.

    Raises:
        ValueError: areas is empty, or differs in the number of patients.
    """
    counts = sorted({each.positive.size for each in areas})
    if len(counts) != 1:
        raise ValueError(f"areas are of {counts} patients: pass AUROCs on the same patients")
    positive, negative = (np.stack(rows) for rows in zip(*(a[1:3] for a in areas), strict=True))
    ten, one = np.array([each.scale for each in areas]).T
    both = counts[0] / (counts[0] - 1) if counts[0] > 1 else np.nan
    cross = both * ((positive / ten[:, None]) @ (negative / one[:, None]).T)
    return positive @ positive.T + negative @ negative.T + cross + cross.T


def contrast(
    areas: Sequence[Area], weights: ArrayLike, *, level: float = 0.95, logit: bool = False
) -> Estimate:
    """A weighted sum of AUROCs: [1] is one of them, [1, -1] a paired difference, [1/L, ..., 1/L] a mean.

    Args:
        areas: K of `area`, with the same groups and count.
        weights: float64[K].
        level: coverage of the interval, in (0, 1).
        logit: the interval is symmetric on the logit scale, and so inside [0, 1]; for areas, not for
            differences.

    Returns:
        The `Estimate`; see the module's table for what is undefined.

    Raises:
        ValueError: weights has another length than areas, level is outside (0, 1).
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (len(areas),):
        raise ValueError(f"weights has shape {weights.shape}: pass one per area, ({len(areas)},)")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: pass a coverage between 0 and 1, such as 0.95")
    value = float(weights @ [each.area for each in areas])
    # Rounding may leave a tiny negative variance where two models agree.
    error = float(np.sqrt(np.maximum(weights @ covariance(areas) @ weights, 0)))
    reach = stats.norm.ppf((1 + level) / 2) * error
    low, high = value - reach, value + reach
    if logit and 0 < value < 1:
        reach /= value * (1 - value)
        low, high = special.expit(special.logit(value) + np.array([-reach, reach])).tolist()
    return Estimate(value, error, float(low), float(high), _p(value, error))


def _p(value: float, error: float) -> float:
    if error > 1e-12:
        return float(2 * stats.norm.sf(abs(value) / error))
    return 1.0 if error == error and abs(value) < 1e-12 else float("nan")
