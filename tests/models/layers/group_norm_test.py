import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.models.layers.group_norm import GroupNorm, normalise


@pytest.mark.parametrize(("shape", "groups"), [((3, 6, 5, 8), 4), ((2, 7, 12), 3), ((4, 16), 8)])
def test_values_and_gradients_are_those_of_flax(shape, groups):
    x = 3 + 2 * jax.random.normal(jax.random.key(0), shape)
    ours, flax = GroupNorm(groups), nn.GroupNorm(groups)
    params = flax.init(jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        jnp.shape, ours.init(jax.random.key(1), x)
    )
    params = jax.tree.map(lambda p: p + jax.random.normal(jax.random.key(2), p.shape), params)
    target = jax.random.normal(jax.random.key(3), shape)

    def result(model):
        total = lambda params, x: jnp.sum(target * model.apply(params, x))  # noqa: E731
        return jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(params, x)

    for actual, wanted in zip(
        jax.tree.leaves(result(ours)), jax.tree.leaves(result(flax)), strict=True
    ):
        np.testing.assert_allclose(actual, wanted, rtol=2e-4, atol=2e-4)


def test_arithmetic_by_hand():
    x = jnp.array([[[1.0, 3.0, 10.0, 10.0]]])  # one place, two groups of two channels
    y = normalise(x, jnp.array([1.0, 2.0, 1.0, 1.0]), jnp.array([0.0, 0.0, 5.0, 6.0]), 2, 0.0)
    np.testing.assert_allclose(y[0, 0, :2], [-1, 2])


def test_a_group_without_variance_gives_its_bias():
    y = normalise(jnp.full((1, 4, 4), 7.0), jnp.ones(4), jnp.arange(4.0), 2)
    np.testing.assert_allclose(y[0, 0], np.arange(4.0), atol=1e-2)


def test_bf16_goes_in_and_out_and_is_summed_in_float32():
    x = (100 + jax.random.normal(jax.random.key(0), (2, 32, 32, 8))).astype(jnp.bfloat16)
    y = normalise(x, jnp.ones(8), jnp.zeros(8), 4)
    assert y.dtype == jnp.bfloat16
    assert 0.9 < float(jnp.std(y.astype(jnp.float32))) < 1.1


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="num_groups=3: must divide the 8 channels"):
        GroupNorm(3).init(jax.random.key(0), jnp.zeros((1, 2, 8)))
