"""Three sites with a linear model, and helpers to run a round of them in any layout."""

import jax
import numpy as np
import optax
from linear_problem import linear_loss, site_batches

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts

ALGORITHM = fed_avg(linear_loss, optax.adam(0.1), keep_optimizer=True)
CHAINED = ALGORITHM._replace(chained=True)
EVERYONE = np.ones(3, bool)
BATCHES = site_batches((3, 1, 2))


def made(layout, algorithm=ALGORITHM, aggregator=None):
    return getattr(layouts, layout)(algorithm, aggregator or weighted_mean())


def begin(params, *, algorithm=ALGORITHM, aggregator=None, sites=3):
    parts = algorithm, aggregator or weighted_mean()
    return layouts.init(*parts, params, sites, jax.random.key(0))


def spoiled(batches, site):
    """The batches with NaN in a site's inputs."""
    inputs = batches.inputs.copy()
    inputs[site] = np.nan
    return batches._replace(inputs=inputs)


def equal(a, b):
    """Asserts that two states have the same bits."""
    plain = lambda s: s._replace(key=jax.random.key_data(s.key))  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, plain(a), plain(b))
