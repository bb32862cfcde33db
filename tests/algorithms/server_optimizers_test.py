"""Server steps of `fed_avgm`, `fed_adam`, `fed_yogi` and `fed_adagrad` by hand; tests/parity runs rounds."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from quadratic_problem import quadratic_loss

from fl_jax.core import spec

SGD = optax.sgd(0.1)


def build(text):
    return spec.build(text, "fl_jax.algorithms", quadratic_loss, SGD)


def steps(algorithm, updates):
    """How far the server moves x, by round, if these are the mean updates of x."""
    state, seen = algorithm.init_server({"x": jnp.zeros(())}), [0.0]
    for update in updates:
        state = algorithm.server(state, {"x": jnp.float32(update)}, 1.0)
        seen.append(float(state.params["x"]))
    return np.diff(seen)


@pytest.mark.parametrize(
    ("text", "v"),
    [  # tau = 1, updates 2 and 1
        ("fed_adam(server_lr=0.5, b1=0.5, b2=0.75, tau=1.0)", (0.75 + 1, 0.75 * 1.75 + 0.25)),
        ("fed_yogi(server_lr=0.5, b1=0.5, b2=0.75, tau=1.0)", (1 + 0.25 * 4, 2 - 0.25 * 1)),
        ("fed_adagrad(server_lr=0.5, b1=0.5, tau=1.0)", (1 + 4, 5 + 1)),
    ],
)
def test_two_rounds_by_hand(text, v):
    m = np.array([0.5 * 2, 0.5 * 1 + 0.5 * 1])
    expected = 0.5 * m / (np.sqrt(v) + 1)
    np.testing.assert_allclose(steps(build(text), [2, 1]), expected, rtol=1e-6)


def test_momentum_by_hand():
    found = steps(build("fed_avgm(server_lr=0.5, momentum=0.5)"), [2, 1, 0])
    np.testing.assert_allclose(found, [1, 1, 0.5], rtol=1e-6)


def test_adams_steps_overshoot_as_documented_and_optax_has_even_ones():
    """Equal updates, far above tau."""
    ours = steps(build("fed_adam(server_lr=1.0, tau=1e-6)"), np.full(600, 0.1))
    assert ours[0] == pytest.approx(1, rel=1e-3)
    assert (ours.argmax(), ours.max()) == (12, pytest.approx(2.13, abs=0.01))
    assert ours[-1] == pytest.approx(1, abs=0.01)
    other = build("fed_avg(server_optimizer=adam(1.0, 0.9, 0.99, eps=1e-6))")
    np.testing.assert_allclose(steps(other, np.full(30, 0.1)), 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fed_adam(server_lr=0.0)", "server_lr=0.0: must be above 0"),
        ("fed_yogi(b1=1.0)", r"b1=1.0: must lie in \[0, 1\)"),
        ("fed_yogi(b2=-0.1)", r"b2=-0.1: must lie in \[0, 1\)"),
        ("fed_adagrad(tau=0.0)", "tau=0.0: must be above 0"),
        ("fed_avgm(momentum=1.0)", r"momentum=1.0: must lie in \[0, 1\)"),
        ("fed_avgm(server_lr=-1.0)", "server_lr=-1.0: must be above 0"),
    ],
)
def test_bad_arguments_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        build(text)
