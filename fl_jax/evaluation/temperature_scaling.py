"""Temperature scaling, fitted across sites that keep their data.

    p = sigmoid(z / T)      1 / T = beta = argmin sum over all slices of log(1 + exp(beta z)) - y beta z

The loss is convex in beta, and its value, slope and curvature are sums over slices. Each Newton step asks
every site for these sums, so the federated fit equals the pooled fit.

References: Platt, Adv Large Margin Classifiers 1999; Guo, Pleiss, Sun and Weinberger, ICML 2017 (temperature
scaling); Nocedal and Wright, Numerical Optimization, 2006, chapter 4 (trust region).

| input | T |
|---|---|
| no slice, or all logits 0 | NaN |
| no slice on the wrong side of 1/2 | NaN: the likelihood increases without bound as T falls to 0 |
| logits that order the classes the wrong way | NaN: no positive T helps |
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from fl_jax.evaluation import roc

EDGE = 1e-7
"""Probabilities are clipped to this distance from 0 and 1, where float32 cannot resolve them."""


class Sums(NamedTuple):
    """Everything a site reveals about its slices at one beta.

    Attributes:
        slices: number of slices.
        wrong: slices whose logit has the wrong sign.
        loss: sum of the log loss, nats.
        slope: its derivative with respect to beta.
        curvature: its second derivative, >= 0.
    """

    slices: float
    wrong: float
    loss: float
    slope: float
    curvature: float


Site = Callable[[float], Sums]
"""Maps beta to `Sums`; the data stay inside."""


def logits(scores: ArrayLike) -> NDArray[np.float64]:
    """Finite logits, float64[...], of probabilities in [0, 1]."""
    return special.logit(np.clip(np.asarray(scores, np.float64), EDGE, 1 - EDGE))


def site(truth: ArrayLike, scores: ArrayLike) -> Site:
    """A site's part of the fit; validation data, truth [N] in {0, 1} and probabilities float64[N]."""
    label, probability = roc.checked(truth, scores)
    z = logits(probability)
    sign = np.where(label, 1.0, -1.0)
    wrong = float((sign * z < 0).sum())

    def sums(beta: float) -> Sums:
        p = special.expit(beta * z)
        loss = np.logaddexp(0, -sign * beta * z).sum()
        slope, curvature = ((p - label) * z).sum(), (p * (1 - p) * z**2).sum()
        return Sums(float(z.size), wrong, float(loss), float(slope), float(curvature))

    return sums


def fit(sites: Sequence[Site]) -> float:
    """Fits one temperature to the slices of all sites.

    Args:
        sites: from `site`; pass one to fit that site alone.

    Returns:
        T > 0; NaN without a solution, see the module's table.
    """

    def total(beta: NDArray) -> Sums:
        sums = [at(float(beta[0])) for at in sites]
        return Sums(*(float(sum(values)) for values in zip(*sums, strict=True)))

    start = total(np.ones(1)) if sites else Sums(0, 0, 0, 0, 0)
    if not start.wrong or not start.curvature:
        return float("nan")
    result = optimize.minimize(
        lambda beta: total(beta).loss / start.slices,
        np.ones(1),
        jac=lambda beta: np.array([total(beta).slope / start.slices]),
        hess=lambda beta: np.array([[total(beta).curvature / start.slices]]),
        method="trust-exact",
        options={"gtol": 1e-11, "max_trust_radius": 1e6},
    )
    beta = float(result.x[0])
    return 1 / beta if beta > 0 else float("nan")


def scaled(scores: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities float64[...] in (0, 1) at a temperature > 0, in the same ranking; NaN gives NaN."""
    if temperature <= 0:
        raise ValueError(f"temperature={temperature}: must be above 0; 1 changes nothing")
    return special.expit(logits(scores) / temperature)
