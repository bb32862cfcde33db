"""Algorithms with one global model against transcriptions of their papers, to 1e-12 in float64."""

from pathlib import Path

import global_papers as papers
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from parity_problem import CASES, quadratic_loss, quadratics, run

from fl_jax.algorithms.agnostic import agnostic
from fl_jax.algorithms.cyclic import cyclic
from fl_jax.algorithms.fed_adagrad import fed_adagrad
from fl_jax.algorithms.fed_adam import fed_adam
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_avgm import fed_avgm
from fl_jax.algorithms.fed_buff import fed_buff
from fl_jax.algorithms.fed_dyn import fed_dyn
from fl_jax.algorithms.fed_exp import fed_exp
from fl_jax.algorithms.fed_newton import fed_newton
from fl_jax.algorithms.fed_nova import fed_nova
from fl_jax.algorithms.fed_prox import fed_prox
from fl_jax.algorithms.fed_sam import fed_sam
from fl_jax.algorithms.fed_yogi import fed_yogi
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.mime_lite import mime_lite
from fl_jax.algorithms.q_fed_avg import q_fed_avg
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import spec
from fl_jax.wrappers.ema import ema
from fl_jax.wrappers.round_schedule import round_schedule, scale_by_round

pytestmark = pytest.mark.usefixtures("x64")
LR = 0.1
SGD = optax.sgd(LR)
BETA = 0.9
ADAM = {"b1": 0.9, "b2": 0.99, "eps": 1e-3}
FACTORS = (1.0, 0.5, 2.0, 0.25, 0.75, 1.5)

ALGORITHMS = {
    "fed_avg": (lambda: fed_avg(quadratic_loss, SGD), lambda p: papers.fed_avg(p, lr=LR)),
    "fed_avg, optax.adam": (
        lambda: fed_avg(quadratic_loss, SGD, server_optimizer=optax.adam(0.3, **ADAM)),
        lambda p: papers.fed_opt(p, lr=LR, eta=0.3, server=lambda: papers.adam(*ADAM.values())),
    ),
    "fed_avgm": (
        lambda: fed_avgm(quadratic_loss, SGD, server_lr=0.5, momentum=BETA),
        lambda p: papers.fed_opt(p, lr=LR, eta=0.5, server=lambda: papers.momentum(BETA)),
    ),
    "fed_adagrad": (
        lambda: fed_adagrad(quadratic_loss, SGD, server_lr=0.3, b1=0.5, tau=0.1),
        lambda p: papers.fed_opt(
            p, lr=LR, eta=0.3, server=lambda: papers.reddi(papers.SECOND["adagrad"], 0.5, 0.1)
        ),
    ),
    "fed_yogi": (
        lambda: fed_yogi(quadratic_loss, SGD, server_lr=0.3, tau=0.1),
        lambda p: papers.fed_opt(
            p, lr=LR, eta=0.3, server=lambda: papers.reddi(papers.SECOND["yogi"], BETA, 0.1)
        ),
    ),
    "fed_adam": (
        lambda: fed_adam(quadratic_loss, SGD, server_lr=0.3, tau=0.1),
        lambda p: papers.fed_opt(
            p, lr=LR, eta=0.3, server=lambda: papers.reddi(papers.SECOND["adam"], BETA, 0.1)
        ),
    ),
    "fed_avg, optimisers kept": (
        lambda: fed_avg(quadratic_loss, optax.sgd(LR, momentum=0.5), keep_optimizer=True),
        lambda p: papers.kept_momentum(p, lr=LR, beta=0.5),
    ),
    "fed_prox": (
        lambda: fed_prox(quadratic_loss, SGD, mu=0.7),
        lambda p: papers.fed_prox(p, lr=LR, mu=0.7),
    ),
    "fed_sam": (
        lambda: fed_sam(quadratic_loss, SGD, rho=0.3),
        lambda p: papers.fed_sam(p, lr=LR, rho=0.3),
    ),
    "scaffold, option 1": (
        lambda: scaffold(quadratic_loss, optax.sgd(9.0), client_lr=LR, option=1, server_lr=0.7),
        lambda p: papers.scaffold(p, lr=LR, server_lr=0.7, option=1),
    ),
    "scaffold, option 2": (
        lambda: scaffold(quadratic_loss, SGD),
        lambda p: papers.scaffold(p, lr=LR, server_lr=1.0, option=2),
    ),
    "fed_dyn": (
        lambda: fed_dyn(quadratic_loss, SGD, alpha=0.5),
        lambda p: papers.fed_dyn(p, lr=LR, alpha=0.5),
    ),
    "fed_exp": (
        lambda: fed_exp(quadratic_loss, SGD, epsilon=0.05),
        lambda p: papers.fed_exp(p, lr=LR, eps=0.05),
    ),
    "fed_nova": (
        lambda: fed_nova(quadratic_loss, SGD),
        lambda p: papers.fed_nova(p, lr=LR, local=lambda: papers.momentum(0.0), norm=lambda K: K),
    ),
    "fed_nova, momentum": (  # |a|_1 in closed form, section 4.1
        lambda: fed_nova(quadratic_loss, optax.sgd(LR, momentum=BETA)),
        lambda p: papers.fed_nova(
            p,
            lr=LR,
            local=lambda: papers.momentum(BETA),
            norm=lambda K: (K - BETA * (1 - BETA**K) / (1 - BETA)) / (1 - BETA),
        ),
    ),
    "fed_nova, adam": (  # a gradient of always 1 moves Adam by 1 / (1 + eps) a step
        lambda: fed_nova(quadratic_loss, optax.adam(LR, **ADAM)),
        lambda p: papers.fed_nova(
            p,
            lr=LR,
            local=lambda: papers.adam(*ADAM.values()),
            norm=lambda K: K / (1 + ADAM["eps"]),
        ),
    ),
    "q_fed_avg, q = 0.5": (
        lambda: q_fed_avg(quadratic_loss, SGD, q=0.5, lipschitz=10.0),
        lambda p: papers.q_fed_avg(p, lr=LR, q=0.5, L=10.0),
    ),
    "q_fed_avg, q = 3": (
        lambda: q_fed_avg(quadratic_loss, SGD, q=3.0, lipschitz=2.0),
        lambda p: papers.q_fed_avg(p, lr=LR, q=3.0, L=2.0),
    ),
    "mime": (  # optax's buffer is the paper's m / (1 - beta)
        lambda: mime(quadratic_loss, optax.sgd(LR, momentum=BETA)),
        lambda p: papers.mime(p, lr=LR / (1 - BETA), beta=BETA, corrected=True),
    ),
    "mime, stale": (
        lambda: mime(quadratic_loss, optax.sgd(0.01, momentum=0.5), stale=True),
        lambda p: papers.mime(p, lr=0.01 / (1 - 0.5), beta=0.5, corrected=True, last_c=True),
    ),
    "mime_lite": (
        lambda: mime_lite(quadratic_loss, optax.sgd(LR, momentum=BETA)),
        lambda p: papers.mime(p, lr=LR / (1 - BETA), beta=BETA, corrected=False),
    ),
    "agnostic": (
        lambda: agnostic(quadratic_loss, SGD, rate=0.05),
        lambda p: papers.agnostic(p, lr=LR, rate=0.05),
    ),
    "cyclic": (lambda: cyclic(quadratic_loss, SGD), lambda p: papers.cyclic(p, lr=LR)),
    "fed_newton": (
        lambda: fed_newton(quadratic_loss, SGD, l2=0.1),
        lambda p: papers.fed_newton(p, l2=0.1),
    ),
    "ema": (
        lambda: ema(fed_avg(quadratic_loss, SGD), 0.7),
        lambda p: papers.ema(papers.fed_avg(p, lr=LR), 0.7),
    ),
    "round_schedule": (
        lambda: round_schedule(
            fed_avg(quadratic_loss, optax.chain(SGD, scale_by_round())), FACTORS
        ),
        lambda p: papers.scheduled(p, lr=LR, factors=FACTORS),
    ),
}


def trajectory(algorithm, problem):
    """The model after each round, [R, D], and the metrics."""
    start = {"x": jnp.asarray(problem.start)}
    states, metrics = zip(*run(algorithm, problem, start), strict=True)
    return np.stack([state.params["x"] for state in states]), metrics


def close(got, expected):
    """Equal to 1e-12 of the largest value, in float64."""
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_is_the_papers_algorithm(name):
    ours, paper = ALGORITHMS[name]
    algorithm = ours()
    for present, weighting in CASES.values():
        problem = quadratics(present, weighting)
        got, _ = trajectory(algorithm, problem)
        expected = np.stack([*paper(problem)])
        close(got, expected)
        assert (
            np.abs(np.diff(expected, axis=0)).max(1) > 1e-3
        ).all()  # every round moves the model


@pytest.mark.parametrize("buffer", [0.3, 1.0])
def test_fed_buff(buffer):
    """The delays are ours, read from the metrics; the paper's are those of its clients' devices."""
    algorithm = fed_buff(quadratic_loss, SGD, max_delay=3, buffer=buffer)
    for present, weighting in CASES.values():
        problem = quadratics(np.tile(present, (3, 1)), weighting)
        got, metrics = trajectory(algorithm, problem)
        due = np.stack([m["due"] for m in metrics]) == 1
        expected = np.stack([*papers.fed_buff(problem, lr=LR, K=buffer, due=due)])
        close(got, expected)
        assert np.stack([m["staleness"] for m in metrics])[due].max() > 0
        assert len(np.unique(expected, axis=0)) > 3


@pytest.mark.parametrize("name", spec.names("fl_jax.algorithms"))
def test_every_algorithm_has_a_transcription(name):
    tests = Path(__file__).parent.glob("*_algorithms_test.py")
    line = f"from fl_jax.algorithms.{name} import {name}\n"
    assert any(line in test.read_text() for test in tests), (
        f"{name}: transcribe its paper into global_papers.py or personal_papers.py, and compare"
    )
