"""DeLong's covariance of AUROCs with patients as clusters, from one sort of the scores.

With m positives x_i and n negatives y_j, psi(x, y) = [x > y] + [x = y] / 2, and G patients g:

    V10_i = mean_j psi(x_i, y_j)      V01_j = mean_i psi(x_i, y_j)      theta = mean_i V10_i
    a_g = sum_{i in g} (V10_i - theta) / m      b_g = sum_{j in g} (V01_j - theta) / n
    cov(r, s) = c10 sum_g a_g^r a_g^s + c01 sum_g b_g^r b_g^s + c11 sum_g (a_g^r b_g^s + b_g^r a_g^s)

with c = I / (I - 1), where I counts the patients with a positive (c10), with a negative (c01), or all G
(c11). If every example is its own patient, this is DeLong's covariance. The sums run over patients, so two
models, two labels, or the mean over labels are contrasts of one covariance matrix. Labels that differ in c10
or c01 use the geometric mean.

References: DeLong, DeLong and Clarke-Pearson, Biometrics 1988; 44:837-845; Obuchowski, Biometrics 1997;
53:567-578 (clusters); Sun and Xu, IEEE Signal Process Lett 2014; 21:1389-1393 (midranks, O(N log N));
Pepe, The Statistical Evaluation of Medical Tests, 2003, section 5.2.5 (interval on the logit scale).

| input | area | error and interval | p |
|---|---|---|---|
| one class only, or no example | NaN | NaN | NaN |
| a class in only one patient | defined | NaN | NaN |
| perfect separation, or all scores equal | 1, or 0.5 | error 0, width 0: too narrow | NaN |
| two models with equal scores | difference 0 | error 0, width 0 | 1 |
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fl_jax.evaluation import roc

Floats = NDArray[np.float64]


class Placements(NamedTuple):
    """Placement values of N scores, see the module's formulas.

    Attributes:
        truth: bool[N].
        wins: float64[m], V10 of the positives in input order.
        losses: float64[n], 1 - V01 of the negatives in input order.
    """

    truth: NDArray[np.bool_]
    wins: Floats
    losses: Floats


class Area(NamedTuple):
    """An AUROC and the contribution of each of G patients to its standard error.

    Attributes:
        area: theta, in [0, 1]; NaN where a class is absent.
        positive: float64[G], a_g sqrt(c10); NaN if fewer than 2 patients have a positive.
        negative: float64[G], b_g sqrt(c01); NaN if fewer than 2 patients have a negative.
        scale: sqrt(c10) and sqrt(c01).
    """

    area: float
    positive: Floats
    negative: Floats
    scale: tuple[float, float]


class Estimate(NamedTuple):
    """An AUROC or a contrast of AUROCs.

    Attributes:
        estimate: the contrast; NaN where undefined.
        error: standard error.
        low: lower limit.
        high: upper limit.
        p: two-sided, for the null hypothesis that the contrast is 0.
    """

    estimate: float
    error: float
    low: float
    high: float
    p: float


def placements(truth: ArrayLike, scores: ArrayLike) -> Placements:
    """Placement values of one model's scores of one label, O(N log N).

    Args:
        truth: [N] in {0, 1}.
        scores: float64[N], probabilities or any increasing function of them; no NaN.

    Returns:
        The `Placements`; NaN where the other class is absent.
    """
    from scipy import stats  # takes longer than JAX to import, and a training needs no ranks

    truth, scores = roc.checked(truth, scores)
    m, ranks = int(truth.sum()), stats.rankdata(scores)
    n = truth.size - m
    wins = ranks[truth] - stats.rankdata(scores[truth])
    losses = ranks[~truth] - stats.rankdata(scores[~truth])
    return Placements(truth, wins / (n or np.nan), losses / (m or np.nan))


def clustered(
    placed: Placements, groups: ArrayLike | None = None, count: int | None = None
) -> Area:
    """The AUROC with each patient's contribution to its standard error, O(N).

    Args:
        placed: from `placements`.
        groups: int[N] in [0, G), each example's patient. Default: independent examples.
        count: G; pass it if the last patients have no example.
    """
    truth, wins, losses = placed
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


def area(truth: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None) -> Area:
    """`clustered(placements(truth, scores), groups)`."""
    return clustered(placements(truth, scores), groups)


def covariance(areas: Sequence[Area]) -> Floats:
    """Covariance of K AUROCs (models, labels or both) on the same patients.

    Args:
        areas: K areas with the same groups and count.

    Returns:
        float64[K, K]; NaN in the rows and columns of an AUROC without a standard error.
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
    """A weighted sum of AUROCs: [1] is a single one, [1, -1] a paired difference, [1/L, ..., 1/L] a mean.

    Args:
        areas: K areas with the same groups and count.
        weights: float64[K].
        level: coverage of the interval, in (0, 1).
        logit: make the interval symmetric on the logit scale, hence inside [0, 1]; for areas, not
            differences.

    Returns:
        The `Estimate`; the module's table lists what is undefined.
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (len(areas),):
        raise ValueError(f"weights has shape {weights.shape}: pass one per area, ({len(areas)},)")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: pass a coverage between 0 and 1, such as 0.95")
    value = float(weights @ [each.area for each in areas])
    # Rounding may leave a tiny negative variance where two models agree.
    error = float(np.sqrt(np.maximum(weights @ covariance(areas) @ weights, 0)))
    reach = special.ndtri((1 + level) / 2) * error
    low, high = value - reach, value + reach
    if logit and 0 < value < 1:
        reach /= value * (1 - value)
        low, high = special.expit(special.logit(value) + np.array([-reach, reach])).tolist()
    return Estimate(value, error, float(low), float(high), _p(value, error))


def _p(value: float, error: float) -> float:
    if error > 1e-12:
        return float(2 * special.ndtr(-abs(value) / error))
    return 1.0 if error == error and abs(value) < 1e-12 else float("nan")
