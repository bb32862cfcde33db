import numpy as np
import optax
import pytest
from quadratic_problem import (
    CURVATURES,
    MINIMA,
    everybody,
    federate,
    quadratic_loss,
    site_batches,
)

from fl_jax.algorithms.agnostic import agnostic
from fl_jax.algorithms.fed_avg import fed_avg

LR = 0.05


def test_rate_0_is_fed_avg():
    batches = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)
    one = federate(agnostic(quadratic_loss, optax.sgd(LR), rate=0.0), batches, everybody(3))
    other = federate(fed_avg(quadratic_loss, optax.sgd(LR)), batches, everybody(3))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_weights_neither_overflow_nor_end_what_they_are_for():
    """Scores that grow to thousands: the worst site's loss still ends below FedAvg's."""
    batches = site_batches((1, 1, 1))
    run = lambda algorithm: federate(algorithm, batches, everybody(3000))  # noqa: E731
    one = run(agnostic(quadratic_loss, optax.sgd(0.02), rate=5.0))
    other = run(fed_avg(quadratic_loss, optax.sgd(0.02)))
    assert np.isfinite(one).all()
    mean = one[-1000:].mean(0)  # the players circle around the saddle point
    worst = [(0.5 * CURVATURES * (x - MINIMA) ** 2).sum(1).max() for x in (mean, other[-1])]
    assert worst[0] < 0.8 * worst[1]


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match=r"rate=-1\.0: must be at least 0"):
        agnostic(quadratic_loss, optax.sgd(LR), rate=-1.0)
