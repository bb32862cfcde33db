"""The mean of the server's models, around algorithms of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import site_batches, streamed
from personal_problem import begin, close, network_loss, network_params, of_site

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import layouts, spec
from fl_jax.wrappers.ema import ema

BATCHES = site_batches((3, 1, 2))
DECAY = 0.6


def run(algorithm, count=3):
    """The states after each round."""
    whole = jax.jit(layouts.whole_round(algorithm, weighted_mean()))
    states = [begin(algorithm, network_params())]
    for _ in range(count):
        states.append(whole(states[-1], BATCHES, jnp.ones(3, bool))[0])
    return states[1:]


def make(text):
    return spec.build(text, "fl_jax.algorithms", network_loss, optax.sgd(0.3))


QUICK = ["fed_avg(server_optimizer=adam(0.1))", "ifca(clusters=2)"]
SLOW = [
    pytest.param(text, marks=pytest.mark.slow) for text in ("scaffold()", "fed_bn()", "ditto()")
]


@pytest.mark.parametrize("text", [*QUICK, *SLOW])
def test_the_mean_is_weighted_by_age_and_the_algorithm_goes_on_as_before(text):
    algorithm = make(text)
    plain, with_mean = run(algorithm), run(ema(algorithm, DECAY))
    weights = DECAY ** np.arange(2, -1, -1)
    weights /= weights.sum()
    for raw, state in zip(plain, with_mean, strict=True):
        close(state.server.base, raw.server)
        close(state.sites, raw.sites)
    last = with_mean[-1]
    mean = jax.tree.map(
        lambda *x: sum(w * leaf for w, leaf in zip(weights, x, strict=True)),
        *(state.server for state in plain),
    )
    close(last.server.params, mean.params)
    close(with_mean[0].server.params, plain[0].server.params)  # not drawn to where it began
    moved = jax.tree.map(
        lambda a, b: np.abs(a - b).max(), last.server.params, plain[-1].server.params
    )
    assert max(jax.tree.leaves(moved)) > 1e-4
    if algorithm.personal:
        site = of_site(last.sites, 1)
        own = ema(algorithm, DECAY).personal(last.server, site)
        close(own, algorithm.personal(mean, site))


def test_a_chained_algorithm_has_a_mean_of_every_site_s_model():
    cyclic = ema(make("cyclic()"), DECAY)
    layout = layouts.sequential(cyclic, weighted_mean())
    state, _ = layout(begin(cyclic, network_params()), streamed(BATCHES), np.ones(3, bool))
    assert state.server.updates == 3


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, float("nan")])
def test_a_decay_out_of_range(decay):
    with pytest.raises(ValueError, match="ema="):
        ema(make("fed_avg()"), decay)


def test_near_one_the_first_mean_is_still_the_first_model():
    (state,) = run(ema(make("fed_avg()"), 1 - 1e-9), 1)
    close(state.server.params, state.server.base.params)
    assert jnp.isfinite(state.server.updates)
