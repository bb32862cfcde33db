"""Every aggregator against a transcription of its paper, to 1e-12 in float64, and published values of others.

Where others differ: byzfl sums Krum's score over n - f - 1 neighbours, where the paper has n - f - 2, and
keeps n - f messages in Multi-Krum. Its geometric median stops after three smoothed steps from zero. byzfl
and Flower state values of Krum for 3 messages, Flower of Bulyan for 4, with f = 1: too few for the papers,
and refused here. Flower's FedAdagrad starts v at 0, not at tau^2.
"""

import itertools

import aggregation_papers as papers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sent_messages import begin, flat, rounds

from fl_jax.aggregators.bulyan import bulyan
from fl_jax.aggregators.centered_clip import centered_clip
from fl_jax.aggregators.drive import drive
from fl_jax.aggregators.geometric_median import geometric_median
from fl_jax.aggregators.krum import krum
from fl_jax.aggregators.median import median
from fl_jax.aggregators.process import process
from fl_jax.aggregators.quantize import quantize
from fl_jax.aggregators.secure_sum import secure_sum
from fl_jax.aggregators.top_k import top_k
from fl_jax.aggregators.trimmed_mean import trimmed_mean
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_adagrad import fed_adagrad
from fl_jax.core import spec

pytestmark = pytest.mark.usefixtures("x64")
SITES, ROUNDS = 13, 4
WEIGHTS = np.array([14.0, 4, 8, 6, 1, 20, 3, 3, 9, 5, 7, 2, 11])
ABSENT = ((), (1, 8), (0, 5), (3, 12))
"""The two of 13 sites that are absent from each round but the first; eleven suffice for Bulyan with f = 2."""

CASES = {
    "weighted_mean": (weighted_mean, lambda: papers.weighted_mean),
    "median": (median, lambda: papers.median),
    "trimmed_mean": (trimmed_mean, lambda: papers.trimmed_mean(0.2)),
    "krum": (lambda: krum(byzantine=2), lambda: papers.krum(2)),
    "multi-krum": (lambda: krum(byzantine=2, keep=5), lambda: papers.krum(2, 5)),
    "bulyan": (lambda: bulyan(byzantine=2), lambda: papers.bulyan(2)),
    "geometric_median": (
        lambda: geometric_median(iterations=1000, tolerance=1e-15),
        lambda: papers.geometric_median,
    ),
    "centered_clip": (
        lambda: centered_clip(radius=1.0, iterations=3),
        lambda: papers.centered_clip(1.0, 3),
    ),
    "process": (
        lambda: process(optax.clip_by_global_norm(2.0), None, optax.trace(0.9)),
        lambda: papers.clipped_momentum(2.0, 0.9),
    ),
    "quantize": (lambda: quantize(bits=4, stochastic=False), lambda: papers.quantized),
}


def sent(seed):
    """Messages around 1, of which two are adversarial: float64, one array of 3 and one of 8 values."""
    x = np.random.default_rng(seed).normal(1, 0.3, (SITES, 11))
    x[[2, 7]] *= -10
    return {"b": x[:, :3], "w": x[:, 3:].reshape(-1, 4, 2)}


def run(aggregator):
    """The aggregates of four rounds in one program, with each round's values, weights and sites."""
    close, state = rounds(aggregator), begin(aggregator, sent(0))
    for number, absent in enumerate(ABSENT):
        here = np.setdiff1d(np.arange(SITES), absent)
        message, present = sent(number), np.isin(np.arange(SITES), here)
        aggregate, state = close(state, message, WEIGHTS, present, jax.random.key(number))
        yield flat(aggregate), flat(message, SITES)[here], WEIGHTS[here], here


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_papers_rule(name):
    aggregator, paper = CASES[name]
    rule = paper()
    for aggregate, values, weights, _ in run(aggregator()):
        np.testing.assert_allclose(aggregate, rule(values, weights), rtol=1e-12, atol=1e-12)


def test_the_geometric_median_is_a_message_where_the_paper_says_so():
    """Messages 0, 1, 2 with weights 1, 1, 2.5: the pull at 2 is 2, less than its weight."""
    values, weights = np.array([[0.0], [1], [2]]), np.array([1, 1, 2.5])
    rule, key = geometric_median(), jax.random.key(0)
    result, _ = rounds(rule)(begin(rule, values), values, weights, np.ones(3, bool), key)
    assert float(result[0]) == 2.0


def test_top_k_with_error_feedback_is_the_papers():
    rule = papers.top_k(0.25, SITES)
    for aggregate, *given in run(top_k(share=0.25)):
        np.testing.assert_allclose(aggregate, rule(*given), rtol=1e-12, atol=1e-12)


def test_the_secure_sum_is_exact_with_dropouts():
    for aggregate, values, weights, _ in run(secure_sum()):
        np.testing.assert_array_equal(aggregate, papers.secure_sum(values, weights, SITES))


def decoded(aggregator, v, draws):
    """What the server reads of one site's message, for many keys: [draws, d]."""

    def read(key):
        state = aggregator.add(aggregator.init(v, 1), jnp.int32(0), v, jnp.ones(()), key)
        return aggregator.finish(state)[0]

    return np.asarray(jax.jit(jax.vmap(read))(jax.random.split(jax.random.key(0), draws)))


def test_stochastic_codes_are_the_two_nearest_and_unbiased():
    v, levels, draws = np.random.default_rng(0).normal(size=50), 7, 20_000
    codes = decoded(quantize(bits=4), jnp.asarray(v), draws) * levels / abs(v).max()
    np.testing.assert_allclose(codes, codes.round(), atol=1e-12)
    exact = v * levels / abs(v).max()
    assert (abs(codes - exact) < 1).all()
    up = exact - np.floor(exact)  # the probability of the upper code
    error = (codes.mean(0) - exact) / np.sqrt(np.maximum(up * (1 - up), 1e-9) / draws)
    assert abs(error).max() < 4
    assert 0.7 < error[up > 0].std() < 1.3


def test_drive_is_the_papers_for_some_signs():
    v = np.random.default_rng(0).normal(size=6)
    all_signs = itertools.product([-1.0, 1.0], repeat=8)
    possible = np.array([papers.drive(v, np.array(signs)) for signs in all_signs])
    distances = abs(decoded(drive(exact_below=0), jnp.asarray(v), 20)[:, None] - possible).max(2)
    assert distances.min(1).max() < 1e-12
    assert len(np.unique(distances.argmin(1))) > 1


def test_every_aggregator_is_compared():
    rules = {name.removeprefix("multi-") for name in CASES} | {"top_k", "secure_sum", "drive"}
    assert rules == set(spec.names("fl_jax.aggregators"))


def of_rows(aggregator, values):
    values = np.asarray(values, float)
    close, everybody = rounds(aggregator), np.ones(len(values))
    state = begin(aggregator, values)
    return np.asarray(close(state, values, everybody, everybody > 0, jax.random.key(0))[0])


def test_byzfls_examples():
    """byzfl/aggregators/aggregators.py: the docstrings' (1, 2, 3), (4, 5, 6), (7, 8, 9)."""
    rows = np.arange(1.0, 10).reshape(3, 3)
    clip = centered_clip(radius=100.0, iterations=1)
    for right in (weighted_mean(), median(), trimmed_mean(1 / 3), clip):
        np.testing.assert_allclose(of_rows(right, rows), [4, 5, 6], rtol=1e-15)
    # byzfl's (3.788, 4.788, 5.788) is on its way to the middle one, from zero.
    np.testing.assert_allclose(of_rows(geometric_median(), rows), [4, 5, 6], rtol=1e-15)
    for refused in (
        krum(byzantine=1),
        krum(byzantine=1, keep=2),
    ):  # there (1, 2, 3) and (2.5, 3.5, 4.5)
        with pytest.raises(ValueError, match=r"needs at least \d sites"):
            begin(refused, rows)


def test_krum_counts_the_papers_neighbours_and_not_byzfls():
    """Of 5 numbers with f = 1 it counts two neighbours; with byzfl's three, 2 would win over 1."""
    values = np.array([0, 1, 2, 3.4, 10])[:, None]
    assert of_rows(krum(byzantine=1), values).item() == 1
    nearest = np.sort((values - values.T) ** 2, axis=1)
    assert values[nearest[:, 1:4].sum(1).argmin()].item() == 2


def test_flowers_fed_adagrad_starts_v_elsewhere():
    """flwr/server/strategy/fedadagrad_test.py: from 0.1 to 0.15 by a mean update of 0.5, eta 0.1, tau 0.5."""
    algorithm = fed_adagrad(lambda *_: jnp.zeros(()), optax.sgd(0.316), server_lr=0.1, tau=0.5)
    server = algorithm.init_server({"x": jnp.asarray(0.1)})
    x = algorithm.server(server, {"x": jnp.asarray(0.5)}, jnp.ones(())).params["x"]
    assert float(x) == pytest.approx(0.1 + 0.1 * 0.5 / (np.sqrt(0.5**2 + 0.5**2) + 0.5), rel=1e-12)
    at_zero = server._replace(optimizer=server.optimizer._replace(second={"x": jnp.zeros(())}))
    x = algorithm.server(at_zero, {"x": jnp.asarray(0.5)}, jnp.ones(())).params["x"]
    assert float(x) == pytest.approx(0.15, rel=1e-12)
