"""A small network with named layers, and a federation in plain loops to hold the personal algorithms to."""

import jax
import jax.numpy as jnp
import numpy as np
from linear_problem import linear_loss, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts

SITES = 3
STEPS = (3, 1, 2)


def network_params():
    keys = jax.random.split(jax.random.key(5), 2)
    return {
        "Conv_0": {"kernel": jax.random.normal(keys[0], (4, 3))},
        "GroupNorm_0": {"scale": jnp.array([1.0, 0.5, 2.0])},
        "Dense_0": {"kernel": jax.random.normal(keys[1], (3, 2)), "bias": jnp.zeros(2)},
    }


def network_loss(params, batch, key):
    """The linear problem's loss behind one more layer."""
    hidden = (batch.inputs @ params["Conv_0"]["kernel"]) * params["GroupNorm_0"]["scale"]
    head = {"w": params["Dense_0"]["kernel"], "b": params["Dense_0"]["bias"]}
    return linear_loss(head, batch._replace(inputs=hidden), key)


def begin(algorithm, params, sites=SITES):
    return layouts.init(algorithm, weighted_mean(), params, sites, jax.random.key(0))


def federate(algorithm, params, batches, present):
    """State and metrics after rounds with the sites in the rows of `present`, one site after another."""
    state, metrics = begin(algorithm, params, batches.mask.shape[0]), {}
    run = layouts.sequential(algorithm, weighted_mean())
    for row in np.array(present, bool):
        state, metrics = run(state, streamed(batches), row)
    return state, metrics


def names(tree):
    leaves = jax.tree.leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


def of_site(tree, site):
    return jax.tree.map(lambda leaf: leaf[site], tree)


def close(found, expected, tolerance=2e-6):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        found,
        expected,
    )


def along(*terms):
    """The sum of factor * tree over pairs (factor, tree)."""
    return jax.tree.map(
        lambda *leaves: sum(f * x for (f, _), x in zip(terms, leaves, strict=True)),
        *(tree for _, tree in terms),
    )
