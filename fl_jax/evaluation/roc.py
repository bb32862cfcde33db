"""AUROC and average precision under any weighting of patients, from one sort of the scores.

With scores s, patient weights w of each example, positives P and negatives N:

    AUROC = sum_{i in P, j in N} w_i w_j ([s_j < s_i] + [s_j = s_i] / 2)  /  (sum_P w  sum_N w)
    AP    = sum_{i in P} w_i precision(s >= s_i)  /  sum_P w

Both depend on the scores only through each patient's number of negatives between neighbouring distinct scores
of positives. `rank` sorts once and stores those counts as two sparse matrices; a thousand resamples then cost
two sparse-dense products and a cumulative sum. Ties are exact.

References: Hanley and McNeil, Radiology 1982; 143:29-36 (AUROC with ties as the Mann-Whitney statistic);
Youden, Cancer 1950; 3:32-35. Average precision is scikit-learn's step-wise sum, without interpolation.

| input | AUROC | AP | curves | Youden threshold |
|---|---|---|---|---|
| one class only, or no example | NaN | NaN | empty arrays | NaN |
| all scores equal | 0.5 | prevalence | the diagonal, one step | that score |
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fl_jax.files.extras import extra

Floats = NDArray[np.float64]


class Ranking(NamedTuple):
    """Sorted and counted scores of N examples in G groups (patients), with U distinct positive scores.

    Attributes:
        positives: sparse float64[U, G], positives per group at each distinct score, ascending.
        negatives: sparse float64[2U + 1, G], negatives per group; row 2u lies strictly between the positive
            scores u - 1 and u, row 2u + 1 is tied with positive score u.
    """

    positives: sparse.csr_array
    negatives: sparse.csr_array


class Curve(NamedTuple):
    """Points of a curve, float64[K] each.

    Attributes:
        x: false positive rate (ROC) or recall (precision-recall), in [0, 1].
        y: true positive rate (ROC) or precision (precision-recall), in [0, 1].
        thresholds: an example is called positive if its score is at least this.
    """

    x: Floats
    y: Floats
    thresholds: Floats


def checked(truth: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Checks and converts to bool[N] and float64[N]; refuses a truth other than 0 and 1, and NaN scores."""
    truth, scores = np.asarray(truth), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise ValueError(
            f"truth has shape {truth.shape} and scores {scores.shape}: pass two vectors of one length, "
            "or ravel both to pool labels"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"truth holds {np.setdiff1d(truth, (0, 1))[:3]}: pass 0 and 1 only")
    if np.isnan(scores).any():
        raise ValueError(f"scores holds {np.isnan(scores).sum()} NaN: leave those examples out")
    return truth.astype(bool), scores


def members(size: int, groups: ArrayLike | None, count: int | None) -> tuple[NDArray[np.intp], int]:
    """Each example's group (alone without `groups`) and G; ValueError if groups is not of length N."""
    group = np.arange(size) if groups is None else np.asarray(groups)
    if group.shape != (size,):
        raise ValueError(f"groups has shape {group.shape}: pass {(size,)}, one per score")
    return group, int(group.max(initial=-1)) + 1 if count is None else count


def rank(
    truth: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None, count: int | None = None
) -> Ranking:
    """Sorts one label's scores, O(N log N), ready for any number of weightings of the groups.

    Args:
        truth: [N] in {0, 1}.
        scores: float64[N], probabilities or any increasing function of them; no NaN.
        groups: int[N] in [0, G), each example's group. Default: independent examples.
        count: G; pass it if the last groups have no example.
    """
    truth, scores = checked(truth, scores)
    group, count = members(truth.size, groups, count)
    levels, level = np.unique(scores[truth], return_inverse=True)
    rest = scores[~truth]
    # No tie: left = right = u, an even row. A tie with level u: left = u, right = u + 1, an odd row.
    between = np.searchsorted(levels, rest, "left") + np.searchsorted(levels, rest, "right")

    def counts(rows: NDArray, columns: NDArray, height: int) -> sparse.csr_array:
        ones = np.ones(rows.size)
        return sparse.coo_array((ones, (rows, columns)), shape=(height, count)).tocsr()

    return Ranking(
        counts(level, group[truth], levels.size),
        counts(between, group[~truth], 2 * levels.size + 1),
    )


def areas(ranking: Ranking, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision under each of R weightings of the groups.

    Args:
        ranking: from `rank`, with G groups.
        weights: float64[G, R], >= 0; column r counts how often each group appears in resample r.

    Returns:
        (auroc, average_precision), float64[R] each; NaN where a class has no weight.
    """
    positives = ranking.positives @ weights
    below = np.cumsum(ranking.negatives @ weights, axis=0)
    wins = np.einsum("ur,ur->r", positives, below[:-1:2])
    wins += np.einsum("ur,ur->r", positives, below[1::2])
    total, pairs = positives.sum(axis=0), positives.sum(axis=0) * below[-1]

    precision = np.cumsum(positives[::-1], axis=0)[::-1]
    called = below[-1] - below[:-1:2]
    called += precision
    # Without a call there is no positive either: 0 in place of 0/0.
    precision /= np.maximum(called, np.finfo(np.float64).tiny, out=called)
    hits = np.einsum("ur,ur->r", positives, precision)

    nothing = np.full(weights.shape[1], np.nan)
    return (
        np.divide(wins / 2, pairs, out=nothing.copy(), where=pairs > 0),
        np.divide(hits, total, out=nothing, where=pairs > 0),
    )


def auroc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, in [0, 1], ties counted one half; NaN where a class is absent."""
    return float(areas(rank(truth, scores), np.ones((np.size(truth), 1)))[0][0])


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> Curve:
    """Corners of the ROC curve from (0, 0), threshold infinity, to (1, 1); empty where a class is absent."""
    with extra("ct"):
        from sklearn import metrics

    truth, scores = checked(truth, scores)
    if truth.all() or not truth.any():
        return Curve(np.empty(0), np.empty(0), np.empty(0))
    return Curve(*metrics.roc_curve(truth, scores))


def precision_recall_curve(truth: ArrayLike, scores: ArrayLike) -> Curve:
    """The precision-recall curve, one point per distinct score; arguments and errors as in `roc_curve`.

    Returns:
        From threshold infinity (recall 0, precision 1 by convention) to recall 1; empty where a class is
        absent.
    """
    with extra("ct"):
        from sklearn import metrics

    truth, scores = checked(truth, scores)
    if truth.all() or not truth.any():
        return Curve(np.empty(0), np.empty(0), np.empty(0))
    precision, recall, thresholds = metrics.precision_recall_curve(
        truth, scores, drop_intermediate=True
    )
    return Curve(recall[::-1], precision[::-1], np.append(thresholds, np.inf)[::-1])


def youden_threshold(truth: ArrayLike, scores: ArrayLike) -> float:
    """The observed score that maximises sensitivity + specificity - 1 as a threshold.

    Args:
        truth: [N] in {0, 1}; validation data, never the test data.
        scores: float64[N].

    Returns:
        A threshold t (positive where score >= t), the highest among equals; NaN where a class is absent.
    """
    curve = roc_curve(truth, scores)
    if not curve.x.size:
        return float("nan")
    # Index 0 is the threshold infinity, which is no observed score.
    return float(curve.thresholds[1:][np.argmax((curve.y - curve.x)[1:])])


def confusion(
    truth: ArrayLike, scores: ArrayLike, thresholds: ArrayLike, groups: ArrayLike, count: int
) -> Floats:
    """Confusion counts of each group and label.

    Args:
        truth: [N, L] in {0, 1}.
        scores: float64[N, L].
        thresholds: float64[L], positive where score >= threshold; NaN gives NaN.
        groups: int[N] in [0, G).
        count: G.

    Returns:
        float64[4, L, G] in the order tp, fp, fn, tn.
    """
    truth, scores = np.asarray(truth).astype(bool), np.asarray(scores, np.float64)
    thresholds = np.asarray(thresholds, np.float64)
    called = scores >= thresholds
    cells = np.stack([truth & called, ~truth & called, truth & ~called, ~truth & ~called])
    sums = np.zeros((count, 4, truth.shape[1]))
    np.add.at(sums, np.asarray(groups), cells.transpose(1, 0, 2))
    sums[:, :, np.isnan(thresholds)] = np.nan
    return sums.transpose(1, 2, 0)


def operating_point(cells: Floats) -> dict[str, Floats]:
    """Precision, recall, specificity and F1 from confusion counts float64[4, ...] of tp, fp, fn, tn.

    Returns:
        "precision", "recall", "specificity", "f1", float64[...] in [0, 1]; NaN for 0/0 (precision without a
        positive call, recall without positives, specificity without negatives, F1 without either).
    """
    tp, fp, fn, tn = cells

    def ratio(part: Floats, whole: Floats) -> Floats:
        return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)

    return {
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }
