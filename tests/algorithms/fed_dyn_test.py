import numpy as np
import optax
import pytest
from quadratic_problem import (
    START,
    everybody,
    federate,
    optimum,
    quadratic_loss,
    site_batches,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_dyn import fed_dyn

LR = 0.1


def test_it_ends_at_the_optimum():
    weights = (4, 2, 3)
    batches = site_batches((40, 40, 40), weights)
    algorithm = fed_dyn(quadratic_loss, optax.sgd(0.2), alpha=1.0)
    end = federate(algorithm, batches, everybody(60))[-1]
    np.testing.assert_allclose(end, optimum(weights), rtol=1e-5, atol=1e-5)


def test_alpha_0_is_fed_avg_and_a_small_alpha_is_not():
    batches = site_batches((4, 2, 3), spread=0.5)
    fed, zero, small = (
        federate(algorithm, batches, everybody(1))[0]
        for algorithm in (
            fed_avg(quadratic_loss, optax.sgd(LR)),
            fed_dyn(quadratic_loss, optax.sgd(LR), alpha=0.0),
            fed_dyn(quadratic_loss, optax.sgd(LR), alpha=1e-9),
        )
    )
    np.testing.assert_array_equal(zero, fed)
    np.testing.assert_allclose(
        small, fed + (fed - START), rtol=1e-5
    )  # h / alpha is the mean update


def test_a_negative_alpha_is_refused():
    with pytest.raises(ValueError, match=r"alpha=-0\.1: must be at least 0"):
        fed_dyn(quadratic_loss, optax.sgd(LR), alpha=-0.1)
