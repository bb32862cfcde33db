import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.aggregators.weighted_mean import weighted_mean

KEY = jax.random.key(0)


def test_hand_arithmetic():
    mean = weighted_mean()
    state = mean.init(jnp.zeros(2), 2)
    state = mean.add(state, jnp.int32(0), jnp.array([1.0, 2.0]), jnp.float32(1), KEY)
    state = mean.add(state, jnp.int32(1), jnp.array([5.0, -2.0]), jnp.float32(3), KEY)
    message, state = mean.finish(state)
    np.testing.assert_array_equal(message, [4.0, -1.0])
    np.testing.assert_array_equal(state.total, [0.0, 0.0])


def test_nobody_gives_zero():
    mean = weighted_mean()
    message, _ = mean.finish(mean.init(jnp.ones(2), 3))
    np.testing.assert_array_equal(message, [0.0, 0.0])
