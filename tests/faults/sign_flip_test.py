"""A flipped message by hand, and what the plain mean and the median make of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches
from sent_messages import one_round

from fl_jax import round as rounds
from fl_jax import spec
from fl_jax.aggregators.median import median
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.faults.sign_flip import sign_flip

SENT = {"w": np.float32([[1.0], [2.0], [3.0]])}


def test_by_hand():
    faulty = sign_flip(weighted_mean(), (1,), scale=2)
    np.testing.assert_allclose(one_round(faulty, SENT)["w"], [0.0])  # (1 - 4 + 3) / 3
    weighed = one_round(faulty, SENT, weights=[1, 2, 1])["w"]
    np.testing.assert_allclose(weighed, [-1.0])  # (1 - 8 + 3) / 4
    np.testing.assert_allclose(
        one_round(sign_flip(median(), (0,)), SENT)["w"], [2.0]
    )  # of -1, 2, 3


def test_nobody_flips_and_an_absent_site_flips_nothing():
    plain = one_round(weighted_mean(), SENT)["w"]
    np.testing.assert_array_equal(one_round(sign_flip(weighted_mean(), ()), SENT)["w"], plain)
    absent = one_round(sign_flip(weighted_mean(), (1,)), SENT, present=[True, False, True])["w"]
    np.testing.assert_allclose(absent, [2.0])


def test_in_a_round_the_server_goes_the_other_way():
    params = {"w": jnp.zeros((4, 2)), "b": jnp.zeros(2)}
    algorithm, moved = fed_avg(linear_loss, optax.sgd(0.1)), []
    for aggregator in (weighted_mean(), sign_flip(weighted_mean(), (0, 1, 2))):
        state = rounds.init(algorithm, aggregator, params, 3, jax.random.key(0))
        step = rounds.whole(algorithm, aggregator)
        state, _ = step(state, site_batches([1, 1, 1]), np.ones(3, bool))
        moved.append(state.server.params["w"])
    np.testing.assert_allclose(moved[0], -moved[1], rtol=1e-6)


def test_it_is_found_by_its_name():
    faulty = spec.build("sign_flip(sites=(2,), scale=1.0)", "fl_jax.faults", weighted_mean())
    np.testing.assert_allclose(one_round(faulty, SENT)["w"], [0.0])  # 1 + 2 - 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"scale": 0.0}, "scale=0.0"), ({"sites": (-1,)}, r"sites=\(-1,\)")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sign_flip(weighted_mean(), **({"sites": (0,)} | arguments))


def test_a_site_that_is_not_there():
    with pytest.raises(ValueError, match=r"sites=\(3,\): the federation has sites 0..2"):
        one_round(sign_flip(weighted_mean(), (3,)), SENT)
