"""Where algorithms come to rest, when sites differ in curvature, minimum, examples and steps.

Every example of a site is the same, so that gradients have no noise and the optimum is known.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from parity_problem import EXAMPLES, SITES, SIZES, quadratic_loss

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.agnostic import agnostic
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_buff import fed_buff
from fl_jax.algorithms.fed_dyn import fed_dyn
from fl_jax.algorithms.fed_newton import fed_newton
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.q_fed_avg import q_fed_avg
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import layouts
from fl_jax.core.types import Batch

pytestmark = pytest.mark.usefixtures("x64")
CURVATURES = np.array([[2.0, 0.5], [0.5, 1.0], [1.0, 3.0], [1.5, 0.8]])
MINIMA = np.array([[1.0, -1.0], [-2.0, 2.0], [0.5, 0.0], [3.0, 1.0]])
WEIGHTS = {"examples": EXAMPLES / EXAMPLES.sum(), "equal": np.full(SITES, 1 / SITES)}
SGD = optax.sgd(0.1)


def site_batches(sizes=SIZES[0]):
    """Batches [S, T, B, ...]; `sizes` as `SIZES[0]`."""
    mask = np.zeros((SITES, max(map(len, sizes)), max(map(max, sizes))))
    for site, batches in enumerate(sizes):
        for step, size in enumerate(batches):
            mask[site, step, :size] = 1
    shape = (*mask.shape, 2)
    a, b = (np.broadcast_to(x[:, None, None], shape) for x in (CURVATURES, MINIMA))
    return Batch(a, b, mask)


def schedules(rounds):
    """bool[4, R, S]: 2 of 4, 1 of 4, and twice a random number of sites, two seeds."""
    generator = np.random.default_rng(0)
    present = np.zeros((4, rounds, SITES), bool)
    for each, counts in zip(present, ([2], [1], [1, 2, 3, 4], [1, 2, 3, 4]), strict=True):
        for row in each:
            row[generator.permutation(SITES)[: generator.choice(counts)]] = True
    return present


def models(algorithm, present, weighting="examples", batches=None):
    """The model after each round, [..., R, 2], for schedules bool[..., R, S]."""
    round_ = layouts.whole_round(algorithm, weighted_mean(), sizes=EXAMPLES, weighting=weighting)
    batches = site_batches() if batches is None else batches

    def run(rows):
        state = layouts.init(
            algorithm, weighted_mean(), {"x": jnp.zeros(2)}, SITES, jax.random.key(0)
        )

        def body(state, row):
            state, _ = round_(state, batches, row)
            return state, state.params["x"]

        return jax.lax.scan(body, state, rows)[1]

    return np.asarray(jax.jit(jax.vmap(run) if present.ndim == 3 else run)(present))


def optimum(weights):
    """The minimum of the weighted mean of the sites' losses."""
    pull = weights[:, None] * CURVATURES
    return (pull * MINIMA).sum(0) / pull.sum(0)


def losses(x):
    return (CURVATURES * (x - MINIMA) ** 2).sum(1) / 2


SCAFFOLD = scaffold(quadratic_loss, SGD)
FED_DYN = fed_dyn(quadratic_loss, SGD, alpha=1.0)


@pytest.mark.parametrize(
    ("algorithm", "weighting"),
    [
        (scaffold(quadratic_loss, SGD, option=1), "examples"),
        *itertools.product((SCAFFOLD, FED_DYN), WEIGHTS),
    ],
    ids=["scaffold, option 1", "scaffold", "scaffold, equal", "fed_dyn", "fed_dyn, equal"],
)
def test_it_rests_at_the_weighted_optimum_whoever_is_absent(algorithm, weighting):
    end = models(algorithm, schedules(1500), weighting)[:, -20:]
    goal = optimum(WEIGHTS[weighting])
    np.testing.assert_allclose(end, np.broadcast_to(goal, end.shape), rtol=0, atol=1e-9)
    others = [optimum(weights) for weights in WEIGHTS.values()]
    assert np.abs(others[0] - others[1]).max() > 0.1


def everybody(rounds):
    return np.ones((rounds, SITES), bool)


ONE_STEP = site_batches([[int(n)] for n in EXAMPLES])
"""A full batch a round."""


@pytest.mark.parametrize("momentum", [None, 0.9])
def test_mime_rests_at_the_optimum_where_all_participate(momentum):
    algorithm = mime(quadratic_loss, optax.sgd(0.05, momentum=momentum))
    end = models(algorithm, everybody(1500))[-1]
    np.testing.assert_allclose(end, optimum(WEIGHTS["examples"]), rtol=1e-9)


def test_the_mean_of_fed_buffs_models_is_near_that_optimum_and_that_of_fed_avgs_is_not():
    """FedAvg's mean over the participants gives a site more when it is in small company."""
    step = optax.sgd(0.02)
    algorithms = fed_buff(quadratic_loss, step, buffer=1.0), fed_avg(quadratic_loss, step)
    off = [
        models(algorithm, schedules(2000), batches=ONE_STEP)[:, 500:].mean(1)
        - optimum(WEIGHTS["examples"])
        for algorithm in algorithms
    ]
    buffered, plain = np.abs(off).max(2)
    assert buffered.max() < 0.03
    assert plain.min() > 0.09


def test_fed_newton_rests_at_the_penalised_optimum():
    end = models(fed_newton(quadratic_loss, SGD, l2=0.1), everybody(6))[-1]
    pull = WEIGHTS["examples"][:, None] * CURVATURES
    np.testing.assert_allclose(end, (pull * MINIMA).sum(0) / (pull.sum(0) + 0.1), rtol=1e-12)


def test_q_fed_avg_rests_at_the_fair_optimum():
    """The gradient of sum_k n_k F_k^(q + 1) / (q + 1) is zero."""
    algorithm = q_fed_avg(quadratic_loss, SGD, q=2.0, lipschitz=10.0)
    end = models(algorithm, everybody(2000), batches=ONE_STEP)[-1]
    pull = (EXAMPLES * losses(end) ** 2)[:, None] * CURVATURES
    np.testing.assert_allclose(end, (pull * MINIMA).sum(0) / pull.sum(0), rtol=1e-9)


def test_agnostic_rests_at_the_minimax():
    """No model has a lower loss at its worst sites: it is the minimum of a mixture of them alone."""
    algorithm = agnostic(quadratic_loss, SGD, rate=0.05)
    end = models(algorithm, everybody(4000), batches=ONE_STEP)[-1]
    by_site = losses(end)
    worst = np.isclose(by_site, by_site.max(), rtol=1e-9)
    np.testing.assert_array_equal(worst, [False, True, True, True])
    gradients = (CURVATURES * (end - MINIMA))[worst]
    mixture = np.linalg.solve(np.vstack([gradients.T, np.ones(3)]), [0, 0, 1])
    assert (mixture > 0).all()
    absent = models(algorithm, schedules(4000)[0], batches=ONE_STEP)[2000:].mean(0)
    assert losses(absent).max() > 1.05 * by_site.max()  # a sharp edge, see its docstring
