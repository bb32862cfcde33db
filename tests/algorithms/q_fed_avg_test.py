import numpy as np
import optax
import pytest
from quadratic_problem import (
    everybody,
    federate,
    quadratic_loss,
    report,
    site_batches,
    zero_gradient,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.q_fed_avg import q_fed_avg

LR = 0.1
BATCHES = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)


@pytest.mark.parametrize("lipschitz", [0.1, 10.0])
def test_q_0_is_fed_avg(lipschitz):
    one = q_fed_avg(quadratic_loss, optax.sgd(LR), q=0.0, lipschitz=lipschitz)
    other = fed_avg(quadratic_loss, optax.sgd(LR))
    one, other = (federate(algorithm, BATCHES, everybody(3)) for algorithm in (one, other))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("q", [0.0, 0.5, 2.0])
def test_a_site_whose_loss_is_zero_does_not_spoil_it(q):
    message = report(q_fed_avg(quadratic_loss, optax.sgd(LR), q=q), [zero_gradient()]).message
    np.testing.assert_array_equal(message[0]["x"], 0)
    assert np.isfinite(message[1])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"q=-1\.0: must be at least 0"):
        q_fed_avg(quadratic_loss, optax.sgd(LR), q=-1.0)
    with pytest.raises(ValueError, match="lipschitz=0: must be above 0"):
        q_fed_avg(quadratic_loss, optax.sgd(LR), lipschitz=0)
