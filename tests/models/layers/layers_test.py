import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.models import layers


@pytest.mark.parametrize(
    ("shape", "window", "strides", "padding"),
    [
        ((2, 8, 6, 3), (2, 2), (2, 2), "VALID"),
        ((2, 7, 9, 3), (2, 3), (2, 3), "VALID"),
        ((2, 7, 9, 3), (3, 3), (2, 2), "SAME"),
        ((2, 7, 9, 3), (2, 2), None, "VALID"),
    ],
)
def test_max_pool_and_its_gradient_are_those_of_flax(shape, window, strides, padding):
    x = jax.random.normal(jax.random.key(0), shape)

    def result(pool):
        return jax.value_and_grad(lambda x: jnp.sum(pool(x, window, strides, padding) ** 2))(x)

    for actual, wanted in zip(result(layers.max_pool), result(nn.max_pool), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-6)
