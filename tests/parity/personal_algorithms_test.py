"""Algorithms with models of the sites against transcriptions of their papers, to 1e-12 in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import personal_papers as papers
import pytest
from parity_problem import (
    CASES,
    SITES,
    layers,
    layers_loss,
    normalised,
    normalised_loss,
    quadratic_loss,
    quadratics,
    run,
)

from fl_jax.algorithms.apfl import apfl
from fl_jax.algorithms.ditto import ditto
from fl_jax.algorithms.fed_ala import fed_ala
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_bn import fed_bn
from fl_jax.algorithms.fed_per import fed_per
from fl_jax.algorithms.fed_rep import fed_rep
from fl_jax.algorithms.ifca import ifca
from fl_jax.algorithms.p_fed_me import p_fed_me
from fl_jax.core import trees
from fl_jax.wrappers.batch_stats import federated_batch_stats

pytestmark = pytest.mark.usefixtures("x64")
LR = 0.1
SGD = optax.sgd(LR)
MOMENTUM = 0.8
NORMALISED_LOSS = normalised_loss(papers.EPSILON, MOMENTUM)


def models(algorithm, problem, start):
    """The global model and every site's after each round."""
    for state, _ in run(algorithm, problem, start):
        sites = [trees.take(state.sites, s) for s in range(SITES)]
        personal = algorithm.personal or (lambda server, site: server.params)
        yield state.params, [personal(state.server, site) for site in sites]


def assert_close(got, expected):
    """Equal to 1e-12 of the largest value, in float64."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(b).max()))


def check(algorithm, paper, problem, start, *, view=lambda model: model["x"], shared=None):
    """Runs an algorithm under full and partial participation beside its paper.

    `view` turns our model into the paper's; `shared` are the entries that the server has.
    """
    for present, weighting in CASES.values():
        p = problem(present, weighting)
        ours = models(algorithm, p, start(p))
        for (x, sites), (y, expected) in zip(ours, paper(p), strict=True):
            x = view(x)
            assert_close({k: x[k] for k in shared} if shared else x, y)
            assert_close([*map(view, sites)], expected)


def quadratic_start(p):
    return {"x": jnp.asarray(p.start)}


@pytest.mark.parametrize(("alpha", "alpha_lr"), [(0.4, 0.02), (0.9, 0.3)])
def test_apfl(alpha, alpha_lr):
    algorithm = apfl(quadratic_loss, SGD, alpha=alpha, alpha_rate=alpha_lr)
    paper = lambda p: papers.apfl(p, lr=LR, alpha=alpha, alpha_lr=alpha_lr)  # noqa: E731
    check(algorithm, paper, quadratics, quadratic_start)


def test_ditto():
    algorithm = ditto(quadratic_loss, SGD, lam=0.7)
    check(algorithm, lambda p: papers.ditto(p, lr=LR, lam=0.7), quadratics, quadratic_start)


@pytest.mark.parametrize(("lam", "K"), [(4.0, 3), (1.0, 1)])
def test_p_fed_me(lam, K):
    algorithm = p_fed_me(quadratic_loss, SGD, lam=lam, inner_steps=K, rate=0.15)
    paper = lambda p: papers.p_fed_me(p, lr=LR, eta=0.15, lam=lam, K=K)  # noqa: E731
    check(algorithm, paper, quadratics, quadratic_start)


def test_ifca():
    algorithm = ifca(quadratic_loss, SGD, clusters=3, spread=2.0)

    def paper(p):
        centres = algorithm.init_server(quadratic_start(p)).clusters.params["x"]
        return papers.ifca(p, lr=LR, centres=np.asarray(centres))

    check(algorithm, paper, quadratics, quadratic_start)


def test_fed_per():
    algorithm = fed_per(layers_loss, SGD, local="^head")
    paper = lambda p: papers.fed_per(p, lr=LR)  # noqa: E731
    check(algorithm, paper, layers, arrays, view=dict, shared=["body"])


def test_fed_rep():
    algorithm = fed_rep(layers_loss, SGD, head_steps=2, local="^head")
    paper = lambda p: papers.fed_rep(p, lr=LR, tau=2)  # noqa: E731
    check(algorithm, paper, layers, arrays, view=dict, shared=["body"])


def test_fed_ala():
    algorithm = fed_ala(layers_loss, SGD, weight_lr=0.5, local="^head")
    paper = lambda p: papers.fed_ala(p, lr=LR, eta=0.5)  # noqa: E731
    check(algorithm, paper, layers, arrays, view=dict)


def arrays(p):
    return jax.tree.map(jnp.asarray, p.start)


def variables(p):
    """Our form of the normalised model."""
    start = arrays(p)
    norm = {k: start.pop(k) for k in ("scale", "bias")}
    stats = {k: start.pop(k) for k in ("mean", "var")}
    return {"params": start | {"BatchNorm_0": norm}, "batch_stats": {"BatchNorm_0": stats}}


def flat(model):
    """The paper's form of it."""
    params, stats = dict(model["params"]), model["batch_stats"]["BatchNorm_0"]
    return params | params.pop("BatchNorm_0") | stats


def test_fed_bn_with_running_statistics():
    algorithm = federated_batch_stats(fed_bn(NORMALISED_LOSS, SGD), "local", momentum=MOMENTUM)
    paper = lambda p: papers.fed_bn(p, lr=LR, momentum=MOMENTUM)  # noqa: E731
    check(algorithm, paper, normalised, variables, view=flat, shared=["body", "head"])


def test_silo_bn():
    algorithm = federated_batch_stats(fed_avg(NORMALISED_LOSS, SGD), "local", momentum=MOMENTUM)
    paper = lambda p: papers.fed_bn(p, lr=LR, momentum=MOMENTUM, ours=["mean", "var"])  # noqa: E731
    shared = ["body", "head", "scale", "bias"]
    check(algorithm, paper, normalised, variables, view=flat, shared=shared)


@pytest.mark.parametrize("rule", ["aggregate", "naive"])
def test_batch_stats(rule):
    algorithm = federated_batch_stats(fed_avg(NORMALISED_LOSS, SGD), rule, momentum=MOMENTUM)
    paper = lambda p: papers.batch_stats(p, lr=LR, momentum=MOMENTUM, naive=rule == "naive")  # noqa: E731
    check(algorithm, paper, normalised, variables, view=flat)
