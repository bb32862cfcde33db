"""Problems with unequal sites in float64, and runs of our algorithms on them.

A batch is a pair of arrays (inputs, labels), whose means over examples are the losses

    quadratics:  f(x) = sum_d a_d (x_d - b_d)^2 / 2    a, b [examples, 3]
    two layers:  f(W, h) = (h . W u - y)^2 / 2         u [examples, 3], y [examples, 1]
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts
from fl_jax.core.types import Batch, RunningLoss

SIZES = (
    ((4, 3, 4, 2, 1), (4,), (3, 1, 3, 1), (2, 4)),
    ((4, 3, 4, 2, 1), (4,), (3, 1, 3, 1), (2, 3, 1)),
)
"""Examples of each batch of a site's round, in even and odd rounds: 1 to 5 steps."""
SITES, ROUNDS, DIM = len(SIZES[0]), 6, 3
EXAMPLES = np.array([14.0, 4.0, 8.0, 6.0])
"""Of a site's round."""
ALL = np.ones((ROUNDS, SITES), bool)
SOME = np.array(
    [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]], bool
)
"""Two of four sites a round. The last round's sites have both been absent."""
CASES = {
    "4 of 4, by examples": (ALL, "examples"),
    "2 of 4, by examples": (SOME, "examples"),
    "2 of 4, equal": (SOME, "equal"),
}
"""Participants and weighting."""

Pair = tuple[np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """A start, and by round the batches of the participating sites, in the sites' order.

    Attributes:
        start: the initial model.
        rounds: `rounds[r][s]`, the batches of site s in round r.
        weighting: ours, `examples` or `equal`.
        weights: float64[S], w_s: examples, or ones.
    """

    start: Any
    rounds: list[dict[int, list[Pair]]]
    weighting: str
    weights: np.ndarray

    def mean(self, values: dict[int, Any]) -> Any:
        """sum_s w_s v_s / sum_s w_s over the sites in `values`."""
        total = sum(self.weights[s] for s in values)
        return sum(self.weights[s] * v for s, v in values.items()) / total

    def share(self, sites: Any) -> float:
        """The participating sites' share of all weights; |P| / S for equal weights."""
        return sum(self.weights[s] for s in sites) / self.weights.sum()


def by_round(batch, rounds):
    """`batch(site, size)` for every step of every site, by round."""
    return [
        [[batch(s, n) for n in sizes] for s, sizes in enumerate(SIZES[r % 2])]
        for r in range(rounds)
    ]


def make(start, examples, present, weighting):
    """A problem of the batches `examples[r][s]` with the participants of bool[R, S]."""
    weights = {"examples": EXAMPLES, "equal": np.ones(SITES)}[weighting]
    rounds = [
        {s: batches[s] for s in np.flatnonzero(row)}
        for batches, row in zip(examples, present, strict=True)
    ]
    return Problem(start, rounds, weighting, weights)


def quadratics(present, weighting, *, curvature=(0.3, 3.0)):
    """Sites that differ in curvature and minimum, which also vary by example."""
    generator = np.random.default_rng(0)
    a = generator.uniform(*curvature, (SITES, DIM))
    b = generator.normal(0, 2, (SITES, DIM))

    def batch(site, size):
        factors, noise = (
            generator.uniform(0.8, 1.2, (size, DIM)),
            generator.normal(0, 0.3, (size, DIM)),
        )
        return a[site] * factors, b[site] + noise

    examples = by_round(batch, len(present))
    return make(generator.normal(0, 1, DIM), examples, present, weighting)


def gradient(x, batch):
    a, b = batch
    return (a * (x - b)).mean(0)


def value(x, batch):
    a, b = batch
    return (a * (x - b) ** 2).sum(1).mean() / 2


def quadratic_loss(params, batch, key):
    """The quadratics' loss for JAX; the mask leaves out padding."""
    del key
    losses = (batch.inputs * (params["x"] - batch.labels) ** 2).sum(1) / 2
    return (losses * batch.mask).sum() / batch.mask.sum()


def pooled(batches):
    """A site's batches as one."""
    return tuple(np.concatenate(arrays) for arrays in zip(*batches, strict=True))


@lru_cache(1)
def sequential(algorithm, weighting):
    """The layout of the last algorithm, so that two schedules compile its programs once."""
    return layouts.sequential(algorithm, weighted_mean(), sizes=EXAMPLES, weighting=weighting)


def run(algorithm, problem, start) -> Iterator[tuple[layouts.State, dict[str, np.ndarray]]]:
    """State and metrics of our algorithm after each round of a problem."""
    round_ = sequential(algorithm, problem.weighting)
    state = layouts.init(algorithm, weighted_mean(), start, SITES, jax.random.key(0))
    for by_site in problem.rounds:
        present = np.isin(np.arange(SITES), list(by_site))
        state, metrics = round_(state, lambda s, batches=by_site: map(padded, batches[s]), present)
        yield state, metrics


def padded(batch):
    """A batch with zeros up to four examples."""
    missing = 4 - len(batch[0])
    inputs, labels = (np.pad(array, ((0, missing), (0, 0))) for array in batch)
    return Batch(inputs, labels, np.pad(np.ones(4 - missing), (0, missing)))


def layers(present, weighting):
    """Regressions with unequal inputs and targets by site; see `layers_loss`."""
    generator = np.random.default_rng(1)
    targets, centres = generator.normal(0, 1, (SITES, DIM)), generator.normal(0, 1, (SITES, DIM))

    def batch(site, size):
        u = centres[site] + generator.normal(0, 1, (size, DIM))
        return u, u @ targets[site, :, None] + generator.normal(0, 0.3, (size, 1))

    examples = by_round(batch, len(present))
    start = {"body": generator.normal(0, 1, (2, DIM)), "head": generator.normal(0, 1, 2)}
    return make(start, examples, present, weighting)


def layers_loss(params, batch, key):
    """The two layers' loss for JAX."""
    del key
    errors = batch.inputs @ params["body"].T @ params["head"] - batch.labels[:, 0]
    return (errors**2 * batch.mask).sum() / 2 / batch.mask.sum()


def normalised(present, weighting):
    """The two-layer problem with a normalisation between the layers, and its running statistics."""
    problem = layers(present, weighting)
    norm = {"scale": np.array([1.0, 0.5]), "bias": np.array([0.0, -1.0])}
    return problem._replace(
        start=problem.start | norm | {"mean": np.array([0.5, 0.0]), "var": np.array([1.0, 2.0])}
    )


def normalised_loss(epsilon, momentum):
    """Its loss for JAX, which moves the statistics by the moments of the batch's real examples."""

    def update(params, batch_stats, batch, key):
        del key
        norm, mask = params["BatchNorm_0"], batch.mask[:, None]
        z = batch.inputs @ params["body"].T
        mu = (z * mask).sum(0) / mask.sum()
        var = ((z - mu) ** 2 * mask).sum(0) / mask.sum()
        out = norm["scale"] * (z - mu) / jnp.sqrt(var + epsilon) + norm["bias"]
        errors = out @ params["head"] - batch.labels[:, 0]
        moved = jax.tree.map(
            lambda old, new: momentum * old + (1 - momentum) * new,
            batch_stats,
            {"BatchNorm_0": {"mean": mu, "var": var}},
        )
        return (errors**2 * batch.mask).sum() / 2 / batch.mask.sum(), moved

    return RunningLoss(update, lambda: {"BatchNorm_0": {"mean": jnp.zeros(2), "var": jnp.ones(2)}})
