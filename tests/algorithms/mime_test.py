from functools import partial

import numpy as np
import optax
import pytest
from quadratic_problem import (
    START,
    everybody,
    fed_avg_fixed_point,
    federate,
    gradient,
    optimum,
    quadratic_loss,
    real,
    site_batches,
)

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.mime_lite import mime_lite

LR, BETA = 0.05, 0.5
PRESENT = np.array([(1, 1, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 1), (1, 1, 1)], bool)


def paper(batches, present, *, corrected, stale=False, beta=BETA):
    """Algorithm 1 of Karimireddy et al. 2021 with momentum m for base; `stale`: with c of the round before.

    U(g, m) = g + beta m and V(g, m) = g + beta m, the form of `optax.trace`.
    """
    x, m, c = START, np.zeros(2), np.zeros(2)
    trajectory = []
    for row in present:
        updates, gradients, weights = [], [], []
        for i in np.flatnonzero(row):
            examples = [len(a) for a, _ in real(batches, i)]
            at_x = [gradient(x, batch) for batch in real(batches, i)]
            gradients.append(np.average(at_x, axis=0, weights=examples))
            weights.append(sum(examples))
        last, c = c, np.average(gradients, axis=0, weights=weights)
        for i in np.flatnonzero(row):
            y = x
            for batch in real(batches, i):
                g = gradient(y, batch)
                if corrected:
                    g = g - gradient(x, batch) + (last if stale else c)
                y = y - LR * (g + beta * m)
            updates.append(y - x)
        m = c + beta * m
        x = x + np.average(updates, axis=0, weights=weights)
        trajectory.append(x)
    return np.stack(trajectory)


@pytest.mark.parametrize(
    ("factory", "kind"),
    [
        (mime, {"corrected": True}),
        (partial(mime, stale=True), {"corrected": True, "stale": True}),
        (mime_lite, {"corrected": False}),
    ],
)
def test_it_is_the_papers_algorithm(factory, kind):
    batches = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)
    algorithm = factory(quadratic_loss, optax.sgd(LR, momentum=BETA))
    got = federate(algorithm, batches, PRESENT)
    expected = paper(batches, PRESENT, **kind)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


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
