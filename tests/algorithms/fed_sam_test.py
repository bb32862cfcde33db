import jax
import numpy as np
import optax
import pytest
from quadratic_problem import (
    START,
    everybody,
    federate,
    quadratic_loss,
    report,
    site_batches,
    zero_gradient,
)

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_sam import fed_sam
from fl_jax.core import layouts

LR = 0.1
BATCHES = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)


def test_rho_0_is_fed_avg():
    one = federate(fed_sam(quadratic_loss, optax.sgd(LR), rho=0.0), BATCHES, everybody(3))
    other = federate(fed_avg(quadratic_loss, optax.sgd(LR)), BATCHES, everybody(3))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_where_the_gradient_is_zero_it_stays():
    message = report(fed_sam(quadratic_loss, optax.sgd(LR)), [zero_gradient()]).message
    np.testing.assert_array_equal(message["x"], 0)


def test_the_loss_in_its_metrics_is_that_of_the_model():
    losses = []
    for algorithm in (
        fed_sam(quadratic_loss, optax.sgd(LR)),
        fed_avg(quadratic_loss, optax.sgd(LR)),
    ):
        state = layouts.init(algorithm, weighted_mean(), {"x": START}, 3, jax.random.key(0))
        step = jax.jit(layouts.whole_round(algorithm, weighted_mean()))
        losses.append(step(state, site_batches((1, 1, 1)), np.ones(3, bool))[1]["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_a_negative_rho_is_refused():
    with pytest.raises(ValueError, match=r"rho=-1\.0: must be at least 0"):
        fed_sam(quadratic_loss, optax.sgd(LR), rho=-1.0)
