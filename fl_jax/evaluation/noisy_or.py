"""A calibrated score of a patient or DICOM study from its slices: noisy-or, fitted on validation patients.

With the slices' logits z_i, for each label:

    P = 1 - prod_i (1 - sigmoid(beta z_i))^gamma = 1 - exp(-gamma sum_i softplus(beta z_i))

A patient bleeds if any slice does. Plain noisy-or, beta = gamma = 1, takes slices for independent, which
neighbours are not, and so grows too large with the number of slices. `gamma`, one a label, is the share of
slices that count as independent, and sets the level of the probabilities; `beta`, one for all labels, says
how strongly slices are believed: a large one approaches the maximum, a small one the mean.

The 1 + L parameters minimise the log loss over validation patients, with Platt's targets (n+ + 1) / (n+ + 2)
and 1 / (n- + 2) in place of 1 and 0, so that the fit is finite for separable and for absent classes, too. For
fixed beta it is a regression with complementary log-log link, convex in log gamma. The loss and its gradient
are sums over patients, so hospitals can fit it together and keep their data.

P increases with each slice's score. Within a label, gamma does not change the order of patients.

References: Pearl, Probabilistic Reasoning in Intelligent Systems, 1988 (noisy-or); Maron and Lozano-Perez,
NIPS 1997 (noisy-or over instances of a bag); Platt, Adv Large Margin Classifiers 1999 (targets); McCullagh
and Nelder, Generalized Linear Models, 1989, section 4.3 (complementary log-log).

| validation | outcome |
|---|---|
| no patient | None: there is no calibrated score |
| a label with one class only | fitted to its smoothed targets: near 0, or near 1 |
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from fl_jax.evaluation import patient_level
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.temperature_scaling import logits

Floats = NDArray[np.float64]
BETA, GAMMA = (0.05, 20.0), (1e-6, 1e3)
"""Limits of the fit."""


class NoisyOr(NamedTuple):
    """A fitted score.

    Attributes:
        beta: > 0.
        gamma: float64[L] > 0.
        units: number of validation patients, or studies, of the fit.
    """

    beta: float
    gamma: Floats
    units: int


def fit(validation: Predictions, units: ArrayLike | None = None) -> NoisyOr | None:
    """Fits the score.

    Args:
        validation: N slices that the model was allowed to see, never the test data.
        units: str[N], each slice's study. Default: its patient.

    Returns:
        The fit; None without a slice.
    """
    if not validation.image.size:
        return None
    groups = patient_level.group(validation, units)
    truth, count = groups.truth.astype(bool), len(groups.names)
    positives = truth.sum(axis=0)
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (count - positives + 2))
    z = logits(validation.scores)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        beta, gamma = np.exp(parameters[0]), np.exp(parameters[1:])
        total = groups.sums(np.logaddexp(0, beta * z))
        slope = groups.sums(special.expit(beta * z) * beta * z)
        return _loss(targets, gamma, total, slope)

    prevalence = targets.mean(axis=0)
    gamma = -np.log1p(-prevalence) / groups.sums(np.logaddexp(0, z)).mean(axis=0)
    best = optimize.minimize(
        loss,
        np.log([1, *np.clip(gamma, *GAMMA)]),
        jac=True,
        method="L-BFGS-B",
        bounds=np.log([BETA, *[GAMMA] * gamma.size]),
        options={"ftol": 1e-10, "gtol": 1e-6},
    ).x
    return NoisyOr(float(np.exp(best[0])), np.exp(best[1:]), count)


def _loss(targets: Floats, gamma: Floats, total: Floats, slope: Floats) -> tuple[float, Floats]:
    """Mean log loss, and its gradient with respect to log beta and log gamma."""
    eta = gamma * total
    loss = (1 - targets) * eta - targets * np.log(-np.expm1(-eta))
    by_eta = (1 - targets) - targets / np.expm1(eta)
    gradient = np.concatenate([[(by_eta * gamma * slope).sum()], (by_eta * eta).sum(axis=0)])
    return float(loss.sum() / targets.size), gradient / targets.size


def aggregate(data: Predictions, fitted: NoisyOr, units: ArrayLike | None = None) -> Predictions:
    """Aggregates slices to patients or studies, scored by the fit; see `patient_level.aggregate`.

    Raises:
        ValueError: units is not of length N, or a unit spans several patients, sites or splits.
    """
    groups = patient_level.group(data, units)
    total = groups.sums(np.logaddexp(0, fitted.beta * logits(data.scores)))
    return groups.predictions(data, -np.expm1(-fitted.gamma * total))
