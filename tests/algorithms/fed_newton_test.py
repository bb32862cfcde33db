import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed
from quadratic_problem import CURVATURES, MINIMA, START, everybody, federate, quadratic_loss
from quadratic_problem import site_batches as quadratic_batches
from scipy.optimize import minimize

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_newton import LARGEST, fed_newton
from fl_jax.core import layouts
from fl_jax.core.types import Batch

SGD = optax.sgd(0.1)
L2 = 0.01


def rounds(batches, sites, number, start, l2=L2):
    """The server's state after each of some rounds."""
    algorithm = fed_newton(linear_loss, SGD, l2=l2)
    state = layouts.init(algorithm, weighted_mean(), start, sites, jax.random.key(0))
    run = layouts.sequential(algorithm, weighted_mean())
    servers = []
    for _ in range(number):
        state, _ = run(state, streamed(batches), np.ones(sites, bool))
        servers.append(state.server)
    return servers


def pooled(batches):
    """All real examples in float64."""
    real = batches.mask.astype(bool)
    return batches.inputs[real].astype(float), batches.labels[real].astype(float)


def flat(params):
    return jax.flatten_util.ravel_pytree(params)[0].astype(float)


def optimum(batches, start, l2=L2):
    """Of the pooled examples' loss and the penalty, by SciPy in float64, flattened with the bias first."""
    x, y = pooled(batches)
    first = np.asarray(flat(start), float)

    def value(at):
        logits = x @ at[2:].reshape(4, 2) + at[:2]
        loss = (np.logaddexp(0, logits) - y * logits).mean()
        return loss + l2 / 2 * ((at - first) ** 2).sum()

    return minimize(value, first, tol=1e-12).x


def test_one_round_is_a_newton_step_of_the_pooled_quadratic():
    steps, sizes = (6, 1, 3), (4, 2, 3)
    batches = quadratic_batches(steps, sizes)
    got = federate(fed_newton(quadratic_loss, SGD, l2=L2), batches, everybody(1))[0]
    weights = np.array(steps) * sizes
    h = np.average(CURVATURES, axis=0, weights=weights)
    g = np.average(CURVATURES * (START - MINIMA), axis=0, weights=weights)
    np.testing.assert_allclose(got, START - g / (h + L2), rtol=1e-5)


def test_a_few_rounds_reach_the_pooled_optimum(params):
    batches = site_batches((3, 1, 5))
    expected = optimum(batches, params)
    last = rounds(batches, 3, 7, params)[-1]
    np.testing.assert_allclose(flat(last.params), expected, atol=1e-4)


def test_sites_are_their_pooled_examples_however_they_are_divided(params):
    batches = site_batches((3, 1, 5))
    x, y = pooled(batches)
    size = len(x)
    alone = Batch(
        x[None, None].astype(np.float32),
        y[None, None].astype(np.float32),
        np.ones((1, 1, size), np.float32),
    )
    for one, other in zip(rounds(batches, 3, 3, params), rounds(alone, 1, 3, params), strict=True):
        np.testing.assert_allclose(flat(one.params), flat(other.params), rtol=1e-4, atol=1e-5)


def test_from_a_saturated_start_steps_shrink_until_the_loss_falls():
    """There the Hessian is all but 0, so that a full step overshoots by orders of magnitude."""
    start = {"w": 30.0 * jnp.ones((4, 2)), "b": jnp.zeros(2)}
    batches = site_batches((3, 1, 5))
    servers = rounds(batches, 3, 40, start, l2=1e-4)
    values = [float(server.value) for server in servers]
    assert values == sorted(values, reverse=True)
    expected = optimum(batches, start, 1e-4)
    np.testing.assert_allclose(servers[-1].best, expected, atol=2e-2)


def test_a_stronger_penalty_stays_closer_to_the_first_model(params):
    batches = site_batches((3, 1, 5))
    far = [
        float(jnp.abs(flat(rounds(batches, 3, 5, params, l2)[-1].params) - flat(params)).max())
        for l2 in (1e-3, 1.0, 1e3)
    ]
    assert far[0] > 3 * far[1]
    assert far[2] < 1e-3


def test_a_round_in_which_nobody_answers_changes_nothing(params):
    algorithm = fed_newton(linear_loss, SGD)
    state = algorithm.init_server(params)
    empty = jax.tree.map(
        jnp.zeros_like, algorithm.client.start(params, (), jax.random.key(0)).extra.total
    )
    after = algorithm.server(state, empty, jnp.float32(0))
    jax.tree.map(np.testing.assert_array_equal, after, state)


def test_large_models_and_bad_penalties():
    with pytest.raises(ValueError, match=r"at most 2,048, .* use fed_avg"):
        fed_newton(linear_loss, SGD).init_server({"w": jnp.zeros(LARGEST + 1)})
    for l2 in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="l2="):
            fed_newton(linear_loss, SGD, l2=l2)
