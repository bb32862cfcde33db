"""Sites that each pull to a minimum of their own, with a curvature of their own: fixed points are known."""

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts
from fl_jax.core.types import Batch

CURVATURES = np.array([[2.0, 0.5], [0.5, 1.0], [1.0, 3.0]])
MINIMA = np.array([[1.0, -1.0], [-2.0, 2.0], [0.5, 0.0]])
START = np.array([1.5, -0.5])
SIZE = 4


def quadratic_loss(params, batch, key):
    """0.5 a (x - b)^2 summed over coordinates, averaged over examples; an example is (a, b)."""
    del key
    curvatures, minima = batch.inputs[:, 0], batch.inputs[:, 1]
    losses = 0.5 * (curvatures * (params["x"] - minima) ** 2).sum(-1)
    return (losses * batch.mask).sum() / jnp.maximum(batch.mask.sum(), 1)


def site_batches(steps, examples=(SIZE,) * 3, *, spread=0.0):
    """Batches [S, T, B, ...]: site s has `steps[s]`, each of `examples[s]` examples.

    An example is its site's (a, b), with `spread` times a normal number added to b.
    """
    mask = np.zeros((3, max(steps), SIZE), np.float32)
    for site, (count, size) in enumerate(zip(steps, examples, strict=True)):
        mask[site, :count, :size] = 1
    pairs = np.stack([CURVATURES, MINIMA], 1)[:, None, None]
    inputs = np.broadcast_to(pairs, (*mask.shape, 2, 2)).copy()
    inputs[..., 1, :] += spread * np.random.default_rng(0).normal(size=(*mask.shape, 2))
    return Batch(inputs.astype(np.float32), np.zeros((*mask.shape, 1), np.float32), mask)


def real(batches, site):
    """The site's real batches in float64: a list of (a, b), each [examples, 2]."""
    masks = batches.mask[site].astype(bool)
    kept = [
        inputs[mask].astype(float) for inputs, mask in zip(batches.inputs[site], masks, strict=True)
    ]
    return [(k[:, 0], k[:, 1]) for k in kept if len(k)]


def gradient(x, batch):
    """The gradient of a real batch's mean loss."""
    a, b = batch
    return (a * (x - b)).mean(0)


def sgd(x, batches, lr):
    """Where plain SGD goes from x."""
    for batch in batches:
        x = x - lr * gradient(x, batch)
    return x


def federate(algorithm, batches, present, *, get=lambda state: state.server.params["x"], **weights):
    """Runs a round for each row of `present` and returns what `get` reads after each, float64.

    `weights`: see `fl_jax.core.weighting`.
    """
    start = {"x": jnp.asarray(START, jnp.float32)}
    state = layouts.init(algorithm, weighted_mean(), start, 3, jax.random.key(0))
    step = jax.jit(layouts.whole_round(algorithm, weighted_mean(), **weights))
    seen = []
    for row in np.asarray(present, bool):
        state, _ = step(state, batches, row)
        seen.append(np.asarray(get(state), float))
    return np.stack(seen)


def report(algorithm, batches):
    """What a site sends after a first round of `batches`, without a layout that would refuse a NaN."""
    start = {"x": jnp.asarray(START, jnp.float32)}
    sent = algorithm.broadcast(algorithm.init_server(start))
    site = algorithm.init_site(start)
    local = algorithm.client.start(sent, site, jax.random.key(0))
    for batch in batches:
        local = algorithm.client.step(local, batch)
    return algorithm.client.finish(sent, site, local)[0]


def zero_gradient():
    """A batch whose examples all have their minimum at START."""
    batches = site_batches((1, 1, 1))
    inputs = batches.inputs[0, 0].copy()
    inputs[:, 1] = START
    return Batch(inputs, batches.labels[0, 0], batches.mask[0, 0])


def everybody(rounds):
    """All sites in all rounds."""
    return np.ones((rounds, 3), bool)


def optimum(weights):
    """The minimum of the weighted mean of the sites' losses (no spread)."""
    pull = np.asarray(weights, float)[:, None] * CURVATURES
    return (pull * MINIMA).sum(0) / pull.sum(0)


def fed_avg_fixed_point(weights, steps, lr):
    """Where FedAvg with plain SGD stays (no spread): each site pulls by 1 - (1 - lr a)^steps."""
    way = 1 - (1 - lr * CURVATURES) ** np.asarray(steps)[:, None]
    pull = np.asarray(weights, float)[:, None] * way
    return (pull * MINIMA).sum(0) / pull.sum(0)
