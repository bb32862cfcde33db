"""One number that makes a model's probabilities honest, fitted across sites that keep their data.

    p = sigmoid(z / T)      1 / T = beta = argmin sum over all slices of log(1 + exp(beta z)) - y beta z

The loss is convex in beta; its value, slope and curvature are sums over slices. A round of Newton's method
asks every site for these three numbers and adds them up, so that the federated fit is the pooled fit.

References: Platt, Adv Large Margin Classifiers 1999; Guo, Pleiss, Sun and Weinberger, ICML 2017 (temperature
scaling); Nocedal and Wright, Numerical Optimization, 2006, chapter 4 (trust region).

| input | T |
|---|---|
| no slice, or every logit 0 | NaN |
| no slice on the wrong side of 1/2 | NaN: the likelihood rises without end as T falls to 0 |
| the logits order the classes the wrong way | NaN: no positive T helps |
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from fl_jax.evaluation import roc

EDGE = 1e-7
"""Probabilities this near to 0 and 1 are what float32 cannot tell from them; their logits stop here."""


class Sums(NamedTuple):
    """All that a site tells of its slices at one beta.

    Attributes:
        slices: how many.
        wrong: slices whose logit has the wrong sign.
        loss: sum of the log loss, nats.
        slope: its derivative by beta.
        curvature: its second derivative, >= 0.
    """

    slices: float
    wrong: float
    loss: float
    slope: float
    curvature: float


Site = Callable[[float], Sums]
"""Answers a beta; the data stay behind it."""


def logits(scores: ArrayLike) -> NDArray[np.float64]:
    """Logits of probabilities float64[...] in [0, 1], finite."""
    return special.logit(np.clip(np.asarray(scores, np.float64), EDGE, 1 - EDGE))


def site(truth: ArrayLike, scores: ArrayLike) -> Site:
    """What a site computes at home.

    Args:
        truth: [N] in {0, 1}; validation data.
        scores: float64[N], probabilities.

    Returns:
        A function of beta.

    Raises:
        ValueError: as `roc.rank`.
    """
    label, probability = roc.checked(truth, scores)
    z = logits(probability)
    sign = np.where(label, 1.0, -1.0)
    wrong = float((sign * z < 0).sum())

    def answer(beta: float) -> Sums:
        p = special.expit(beta * z)
        loss = np.logaddexp(0, -sign * beta * z).sum()
        slope, curvature = ((p - label) * z).sum(), (p * (1 - p) * z**2).sum()
        return Sums(float(z.size), wrong, float(loss), float(slope), float(curvature))

    return answer


def fit(sites: Sequence[Site]) -> float:
    """The temperature that all sites' slices together ask for.

    Args:
        sites: of `site`; one of them fits that site alone.

    Returns:
        T > 0; NaN where there is none, see the module's table.
    """

    def asked(beta: NDArray) -> Sums:
        answers = [answer(float(beta[0])) for answer in sites]
        return Sums(*(float(sum(values)) for values in zip(*answers, strict=True)))

    start = asked(np.ones(1)) if sites else Sums(0, 0, 0, 0, 0)
    if not start.wrong or not start.curvature:
        return float("nan")
    found = optimize.minimize(
        lambda beta: asked(beta).loss / start.slices,
        np.ones(1),
        jac=lambda beta: np.array([asked(beta).slope / start.slices]),
        hess=lambda beta: np.array([[asked(beta).curvature / start.slices]]),
        method="trust-exact",
        options={"gtol": 1e-11, "max_trust_radius": 1e6},
    )
    beta = float(found.x[0])
    return 1 / beta if beta > 0 else float("nan")


def scaled(scores: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities after temperature scaling; the ranking stays.

    Args:
        scores: float64[...], probabilities.
        temperature: T > 0; NaN gives NaN.

    Returns:
        float64[...] in (0, 1).

    Raises:
        ValueError: temperature is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature={temperature}: must be above 0; 1 changes nothing")
    return special.expit(logits(scores) / temperature)
