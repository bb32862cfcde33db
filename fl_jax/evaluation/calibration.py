"""Calibration: reliability curve, decomposed Brier score and expected calibration error (ECE).

With N probabilities p in bins b of n_b slices, mean probability p_b and share of positives o_b (o over all):

    Brier score = mean (p - y)^2 = reliability - resolution + uncertainty + within
    reliability = sum_b n_b (p_b - o_b)^2 / N       resolution = sum_b n_b (o_b - o)^2 / N
    uncertainty = o (1 - o)       within = the remainder, from probabilities that differ inside a bin
    ECE         = sum_b n_b |p_b - o_b| / N

The ECE cannot be negative, so it is biased upwards. `ece_floor` is the ECE that a perfectly calibrated model
would have on average by chance, if slices were independent; dependent slices raise the true floor. An ECE
near its floor is no evidence of miscalibration; an ECE far above it is.

References: Brier, Mon Weather Rev 1950; 78:1-3; Murphy, J Appl Meteorol 1973; 12:595-600; Stephenson, Coelho
and Jolliffe, Weather Forecast 2008; 23:752-757 (within-bin terms); Naeini, Cooper and Hauskrecht, AAAI 2015
(ECE); Roelofs et al., AISTATS 2022 (its bias); Flanders et al., Radiol Artif Intell 2020; 2:e190211 (the
challenge's loss).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.core.types import LABELS
from fl_jax.evaluation import roc
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.proportions import Proportion, proportion

Floats = NDArray[np.float64]
CHALLENGE_WEIGHTS = np.array([2.0 if label == "any" else 1.0 for label in LABELS])
CHALLENGE_FLOOR = 1e-15
"""The challenge's scorer clips probabilities to this distance from 0 and 1."""


class Reliability(NamedTuple):
    """The reliability curve of the K non-empty bins.

    Attributes:
        slices: float64[K], number of slices.
        predicted: float64[K], mean probability.
        observed: `Proportion` of float64[K], share of positives, patients as clusters.
    """

    slices: Floats
    predicted: Floats
    observed: Proportion


class Calibration(NamedTuple):
    """Calibration of N probabilities; all NaN if N = 0.

    Attributes:
        brier: mean squared error, in [0, 1].
        reliability: penalty for miscalibration; 0 is perfect.
        resolution: credit for discrimination, at most `uncertainty`.
        uncertainty: Brier score of always predicting the prevalence.
        within: remainder from probabilities that differ inside a bin.
        ece: expected calibration error, in [0, 1].
        ece_floor: mean ECE of a perfectly calibrated model on independent slices.
        curve: the `Reliability` curve.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    ece: float
    ece_floor: float
    curve: Reliability


def calibration(
    truth: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    bins: int = 10,
    level: float = 0.95,
) -> Calibration:
    """Computes the reliability curve and the scores based on it.

    Args:
        truth: [N] in {0, 1}.
        scores: float64[N], probabilities in [0, 1].
        groups: int[N] in [0, G), each slice's patient. Default: independent slices.
        bins: number of bins of equal width over [0, 1], >= 1; a probability of 1 falls into the last.
        level: coverage of the curve's intervals.
    """
    truth, scores = roc.checked(truth, scores)
    group, patients = roc.members(truth.size, groups, None)
    if bins < 1:
        raise ValueError(f"bins={bins}: at least 1 is needed, 10 is usual")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores holds a value outside [0, 1]: pass probabilities, not logits")
    places, place = np.unique(
        np.minimum((scores * bins).astype(int), bins - 1), return_inverse=True
    )

    def cells(weights: NDArray) -> Floats:
        sums = np.bincount(place * patients + group, weights, places.size * patients)
        return sums.reshape(places.size, patients).astype(np.float64)

    slices = cells(np.ones(truth.size))
    count = slices.sum(axis=1)
    predicted = np.bincount(place, scores, places.size) / count
    curve = Reliability(count, predicted, proportion(cells(truth.astype(float)), slices, level))
    noise = np.sqrt(np.bincount(place, scores * (1 - scores), places.size)) / count
    return _scores(truth, scores, curve, noise * np.sqrt(2 / np.pi))


def _scores(truth: NDArray, scores: Floats, curve: Reliability, noise: Floats) -> Calibration:
    if not truth.size:
        nan = float("nan")
        return Calibration(nan, nan, nan, nan, nan, nan, nan, curve)
    share = curve.slices / truth.size
    gap = curve.predicted - curve.observed.estimate
    prevalence = truth.mean()
    brier = float(np.mean((scores - truth) ** 2))
    reliability = float(share @ gap**2)
    resolution = float(share @ (curve.observed.estimate - prevalence) ** 2)
    uncertainty = float(prevalence * (1 - prevalence))
    return Calibration(
        brier,
        reliability,
        resolution,
        uncertainty,
        brier - (reliability - resolution + uncertainty),
        float(share @ np.abs(gap)),
        float(share @ noise),
        curve,
    )


def challenge_loss(data: Predictions) -> float:
    """The RSNA challenge's weighted log loss, in which `any` counts twice, nats; NaN without images."""
    if not data.image.size:
        return float("nan")
    p = np.clip(data.scores, CHALLENGE_FLOOR, 1 - CHALLENGE_FLOOR)
    each = -np.where(data.truth == 1, np.log(p), np.log1p(-p))
    return float(np.average(each.mean(axis=0), weights=CHALLENGE_WEIGHTS))
