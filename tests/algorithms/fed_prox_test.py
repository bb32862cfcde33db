import numpy as np
import optax
import pytest
from quadratic_problem import (
    START,
    everybody,
    federate,
    quadratic_loss,
    site_batches,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_prox import fed_prox

BATCHES = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)


@pytest.mark.parametrize("keep", [True, False])
def test_mu_0_is_fed_avg(keep):
    optimizer = optax.sgd(0.1, momentum=0.9)
    one = fed_prox(quadratic_loss, optimizer, mu=0.0, keep_optimizer=keep)
    other = fed_avg(quadratic_loss, optimizer, keep_optimizer=keep)
    one, other = (federate(algorithm, BATCHES, everybody(3)) for algorithm in (one, other))
    np.testing.assert_allclose(one, other, rtol=0, atol=0)


def test_the_server_optimizer_is_passed_on():
    whole = federate(fed_prox(quadratic_loss, optax.sgd(0.1)), BATCHES, everybody(1))[0]
    half = fed_prox(quadratic_loss, optax.sgd(0.1), server_optimizer=optax.sgd(0.5))
    half = federate(half, BATCHES, everybody(1))[0]
    np.testing.assert_allclose(half, (START + whole) / 2, rtol=1e-6)


def test_a_negative_mu_is_refused():
    with pytest.raises(ValueError, match=r"mu=-1\.0: must be at least 0"):
        fed_prox(quadratic_loss, optax.sgd(0.1), mu=-1.0)
