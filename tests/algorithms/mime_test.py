import numpy as np
import optax
from quadratic_problem import (
    everybody,
    fed_avg_fixed_point,
    federate,
    optimum,
    quadratic_loss,
    site_batches,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.mime_lite import mime_lite

LR = 0.05


def test_mime_ends_at_the_optimum_where_fed_avg_and_mime_lite_do_not():
    steps, weights = (8, 8, 8), (4, 2, 3)
    batches = site_batches(steps, weights)
    for optimizer in (optax.sgd(LR), optax.sgd(LR, momentum=0.2)):
        end = federate(mime(quadratic_loss, optimizer), batches, everybody(200))[-1]
        np.testing.assert_allclose(end, optimum(weights), rtol=1e-5, atol=1e-5)
    lite = federate(mime_lite(quadratic_loss, optax.sgd(LR)), batches, everybody(200))[-1]
    np.testing.assert_allclose(lite, fed_avg_fixed_point(weights, steps, LR), atol=1e-5)
    assert np.abs(lite - optimum(weights)).max() > 0.02


def test_last_rounds_c_is_stable_at_lower_rates_only():
    """At the rates that the docstring states, times 1.2 and over 1.2."""
    batches = site_batches((5, 5, 5))
    batches.inputs[..., 0, :] = np.array([0.5, 1.0, 2.0])[:, None, None, None]
    for lr, stale, stays in ((1.0, False, True), (0.4, True, False), (0.27, True, True)):
        end = federate(mime(quadratic_loss, optax.sgd(lr), stale=stale), batches, everybody(300))
        assert (np.abs(end[-1]).max() < 10) == stays


def test_mime_lite_of_plain_sgd_is_fed_avg():
    batches = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)
    one = federate(mime_lite(quadratic_loss, optax.sgd(LR)), batches, everybody(3))
    other = federate(fed_avg(quadratic_loss, optax.sgd(LR)), batches, everybody(3))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_the_server_alone_advances_the_base_optimizer():
    batches = site_batches((4, 2, 3))
    algorithm = mime(quadratic_loss, optax.adam(LR))
    counts = federate(
        algorithm, batches, everybody(3), get=lambda state: state.server.optimizer[0].count
    )
    np.testing.assert_array_equal(counts, [1, 2, 3])
