"""Aggregators transcribed from their papers in float64 NumPy, written from the papers and not from `fl_jax`.

A rule takes the values [n, d] and the weights [n] of the sites that sent a message, and returns a vector [d].
A rule with memory is made by its function for the whole run, and takes the sites' indices as well.
"""

import math

import numpy as np
from scipy.linalg import hadamard

LEAVES = np.split(np.arange(11), [3])
"""The coordinates of each array of a message: compression goes array by array."""


def weighted_mean(values, weights):
    """McMahan et al. 2017, Algorithm 1."""
    return (weights[:, None] * values).sum(0) / weights.sum()


def median(values, weights):
    """Yin et al. 2018, Definition 1."""
    return np.median(values, axis=0)


def trimmed_mean(beta):
    """Yin et al. 2018, Definition 2: without the largest and smallest beta fraction."""

    def rule(values, weights):
        k = math.ceil(round(beta * len(values), 9))
        return np.sort(values, axis=0)[k : len(values) - k].mean(0)

    return rule


def krum_scores(values, f):
    """Blanchard et al. 2017, section 4: the sum over the n - f - 2 closest vectors of ||V_i - V_j||^2."""
    scores = []
    for i, v in enumerate(values):
        others = np.delete(values, i, axis=0)
        scores.append(np.sort(((others - v) ** 2).sum(1))[: len(values) - f - 2].sum())
    return np.array(scores)


def krum(f, m=1):
    """Blanchard et al. 2017, and section 5's Multi-Krum: the mean of the m vectors with the lowest scores."""
    return lambda values, weights: values[np.argsort(krum_scores(values, f))[:m]].mean(0)


def bulyan(f):
    """El Mhamdi et al. 2018, section 4, over Krum: theta = n - 2f selections, beta = theta - 2f values.

    The last selections tie, since two vectors can be nearest to each other: then the one nearer to the rest.
    """

    def rule(values, weights):
        left, selected = values, []
        for _ in range(len(values) - 2 * f):
            distances = ((left[:, None] - left) ** 2).sum((1, 2))
            best = np.lexsort((distances, krum_scores(left, f)))[0]
            selected.append(left[best])
            left = np.delete(left, best, axis=0)
        chosen = np.array(selected)
        nearest = np.argsort(abs(chosen - np.median(chosen, axis=0)), axis=0)
        return np.take_along_axis(chosen, nearest[: len(chosen) - 2 * f], axis=0).mean(0)

    return rule


def geometric_median(values, weights):
    """Vardi and Zhang 2000, equations 2.6 and 2.7, until nothing changes."""
    y = weighted_mean(values, weights)
    for _ in range(10_000):
        distance = np.linalg.norm(values - y, axis=1)
        other = distance > 0
        eta = weights[other] / distance[other]
        tilde = eta @ values[other] / eta.sum()  # T~(y)
        r = np.linalg.norm(eta @ (values[other] - y))
        share = min(1, weights[~other].sum() / r) if r > 0 else 1
        new = (1 - share) * tilde + share * y
        if (new == y).all():
            break
        y = new
    return y


def centered_clip(tau, L):
    """Karimireddy et al. 2021, Algorithm 2: v_l = v_{l-1} + mean (m_i - v) min(1, tau / ||m_i - v||)."""
    v = np.zeros(11)

    def rule(values, weights):
        nonlocal v
        for _ in range(L):
            away = values - v
            clip = np.minimum(1, tau / np.linalg.norm(away, axis=1, keepdims=True))
            v = v + (away * clip).mean(0)
        return v

    return rule


def clipped_momentum(c, beta):
    """McMahan et al. 2018: messages clipped to norm c; with momentum on their mean, as FedAvgM's."""
    buffer = 0.0

    def rule(values, weights):
        nonlocal buffer
        clip = np.minimum(1, c / np.linalg.norm(values, axis=1, keepdims=True))
        buffer = beta * buffer + weighted_mean(values * clip, weights)
        return buffer

    return rule


def quantized(values, weights, bits=4):
    """Alistarh et al. 2017 with the largest value as the scale, rounded to nearest."""
    levels = 2 ** (bits - 1) - 1
    decoded = values.copy()
    for leaf in LEAVES:
        scale = abs(values[:, leaf]).max(1, keepdims=True)
        decoded[:, leaf] = np.rint(values[:, leaf] / scale * levels) / levels * scale
    return weighted_mean(decoded, weights)


def top_k(share, sites):
    """Stich et al. 2018, Algorithm 1, each site with its memory m: send top_k(m + g), keep the rest."""
    memory = np.zeros((sites, 11))

    def rule(values, weights, here):
        sent = np.zeros_like(values)
        for row, (site, g) in enumerate(zip(here, values, strict=True)):
            p = memory[site] + g
            for leaf in LEAVES:
                k = math.ceil(round(share * len(leaf), 9))
                largest = leaf[np.argsort(-abs(p[leaf]))[:k]]
                sent[row, largest] = p[largest]
            memory[site] = p - sent[row]
        return weighted_mean(sent, weights)

    return rule


def secure_sum(values, weights, sites, limit=4096):
    """Bonawitz et al. 2017 without the masks, which cancel: sums of fixed-point numbers, as Python's int."""
    b = 30 - math.ceil(math.log2(sites * limit))
    integers = np.rint(weights[:, None] * values * 2**b).astype(object).sum(0)
    total = np.rint(weights * 2**b).astype(object).sum()
    return integers.astype(np.float32) / np.float32(total)


def drive(v, signs):
    """Vargaftik et al. 2021, Algorithm 1 with the scale ||x||^2 / ||R x||_1 of section 4."""
    d = len(signs)
    rotation = hadamard(d) * signs / math.sqrt(d)
    rotated = rotation[:, : len(v)] @ v
    scale = (v**2).sum() / abs(rotated).sum()
    return (rotation.T @ (scale * np.where(rotated < 0, -1.0, 1.0)))[: len(v)]
