"""Factors by round: as if the optimiser had another rate, in every layout, without a new program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import site_batches, streamed
from personal_problem import begin, close, network_loss, network_params

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts, spec
from fl_jax.wrappers.round_schedule import RoundFactor, round_schedule, scale_by_round

BATCHES = site_batches((3, 1, 2))
EVERYONE = np.ones(3, bool)
FACTORS = (0.75, 0.25, 0.5)
RATE = 0.2


def make(text, rate=RATE, factors=None):
    optimizer = optax.sgd(rate, momentum=0.5)
    if factors is None:
        return spec.build(text, "fl_jax.algorithms", network_loss, optimizer)
    timed = spec.build(
        text, "fl_jax.algorithms", network_loss, optax.chain(optimizer, scale_by_round())
    )
    return round_schedule(timed, factors)


SLOW = [
    pytest.param(f"{name}()", marks=pytest.mark.slow) for name in ("fed_rep", "mime", "fed_nova")
]


@pytest.mark.parametrize("text", ["fed_avg()", *SLOW])
def test_a_factor_is_another_rate(text):
    """Momentum's state does not know of the rate, so that a round may be run with that of another."""
    timed = make(text, factors=FACTORS)
    run = jax.jit(layouts.whole_round(timed, weighted_mean()))

    @jax.jit
    def at(rate, state):
        return layouts.whole_round(make(text, rate), weighted_mean())(
            state, BATCHES, jnp.asarray(EVERYONE)
        )

    state, plain = begin(timed, network_params()), begin(make(text), network_params())
    for factor in FACTORS:
        state, metrics = run(state, BATCHES, jnp.asarray(EVERYONE))
        plain, wanted = at(RATE * factor, plain)
        close(state.server.params, plain.server.params, 1e-5)
        np.testing.assert_array_equal(metrics["bytes"], wanted["bytes"])
    assert state.server.round == 3
    assert run._cache_size() == 1


def test_layouts_agree():
    """`ditto` has two factors at a site, which the layout donates."""
    algorithm = make("ditto()", factors=FACTORS[1:])
    parts = algorithm, weighted_mean()
    runs = [layouts.sequential(*parts), layouts.vmapped(*parts), layouts.mesh(*parts)]
    ends = []
    for run in runs:
        state = begin(algorithm, network_params())
        for _ in range(3):  # one more than there are factors
            state, _ = run(state, streamed(BATCHES), EVERYONE)
        ends.append(state.server.params)
    close(ends[1], ends[0], 1e-5)
    close(ends[2], ends[0], 1e-5)


def test_with_zero_nothing_moves_and_the_last_factor_holds():
    algorithm = make("fed_avg()", factors=(1.0, 0.0))
    run = layouts.sequential(algorithm, weighted_mean())
    first, _ = run(begin(algorithm, network_params()), streamed(BATCHES), EVERYONE)
    state = first
    for _ in range(3):
        state, _ = run(state, streamed(BATCHES), EVERYONE)
    jax.tree.map(np.testing.assert_array_equal, state.server.params, first.server.params)


@pytest.mark.parametrize("name", spec.names("fl_jax.algorithms"))
def test_every_algorithm_takes_the_factor_or_says_that_it_does_not(name):
    if name == "cyclic":
        with pytest.raises(ValueError, match="a chained algorithm"):
            make("cyclic()", factors=FACTORS)
        return
    if name == "fed_newton":
        with pytest.raises(ValueError, match="does not use the clients' optimiser"):
            begin(make("fed_newton()", factors=FACTORS), network_params())
        return
    algorithm = make(f"{name}()", factors=FACTORS)
    server, site = algorithm.init_server(network_params()), algorithm.init_site(network_params())
    local = algorithm.client.start(algorithm.broadcast(server), site, jax.random.key(0))
    nodes = jax.tree.leaves(local, is_leaf=lambda node: isinstance(node, RoundFactor))
    factors = [node.factor for node in nodes if isinstance(node, RoundFactor)]
    assert factors
    for factor in factors:
        np.testing.assert_array_equal(factor, FACTORS[0])


def test_an_algorithm_with_an_optimiser_of_its_own_is_refused():
    with pytest.raises(ValueError, match="does not use the clients' optimiser"):
        begin(make("scaffold(client_lr=0.1)", factors=FACTORS), network_params())


@pytest.mark.parametrize("factors", [(), (1.0, -0.1), (float("nan"),), (float("inf"),)])
def test_factors_out_of_range(factors):
    with pytest.raises(ValueError, match="round_schedule: factors="):
        make("fed_avg()", factors=factors)
