import jax
import numpy as np
import optax
import pytest
from quadratic_problem import (
    MINIMA,
    everybody,
    fed_avg_fixed_point,
    federate,
    optimum,
    quadratic_loss,
    report,
    site_batches,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_nova import fed_nova

LR = 0.05


@pytest.mark.parametrize("optimizer", [optax.sgd(LR, momentum=0.9), optax.adam(LR)])
def test_equal_steps_are_fed_avg(optimizer):
    batches = site_batches((3, 3, 3), (4, 2, 3), spread=0.5)
    one = fed_nova(quadratic_loss, optimizer)
    other = fed_avg(quadratic_loss, optimizer)
    one, other = (federate(algorithm, batches, everybody(3)) for algorithm in (one, other))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_unequal_steps_do_not_pull_it_to_the_busy_site():
    steps, sizes = (16, 2, 4), (1, 4, 4)  # 16, 8 and 16 examples
    batches, lr = site_batches(steps, sizes), 0.002
    weights = np.array(steps) * sizes
    nova = federate(fed_nova(quadratic_loss, optax.sgd(lr)), batches, everybody(1200))[-1]
    plain = federate(fed_avg(quadratic_loss, optax.sgd(lr)), batches, everybody(1200))[-1]
    np.testing.assert_allclose(plain, fed_avg_fixed_point(weights, steps, lr), atol=1e-3)
    off = np.abs([nova - optimum(weights), plain - optimum(weights)]).max(1)
    assert off[0] < 0.02  # what drift within a round leaves, of the order of lr
    assert off[1] > 0.3


def test_with_adam_it_rests_at_the_weighted_median_whatever_the_steps():
    steps, sizes = (16, 2, 4), (1, 4, 4)  # 16, 8 and 16 examples: the last site's minimum
    batches = site_batches(steps, sizes)
    nova, plain = (
        federate(factory(quadratic_loss, optax.adam(0.02)), batches, everybody(250))[-20:].mean(0)
        for factory in (fed_nova, fed_avg)
    )
    np.testing.assert_allclose(nova, MINIMA[2], atol=0.05)
    np.testing.assert_allclose(plain, MINIMA[0], atol=0.15)  # drawn to the busy site


def test_a_site_without_a_step_sends_zeros():
    message, weight, _ = report(fed_nova(quadratic_loss, optax.sgd(LR)), [])
    assert all((leaf == 0).all() for leaf in jax.tree.leaves((message, weight)))
