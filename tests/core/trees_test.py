"""Pytree helpers: structure, finiteness, and one site's part of a stacked tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.trees import all_finite, conforms, per_site, platform, put, take


def test_conforms():
    like = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
    assert conforms(jax.tree.map(jnp.ones_like, like), like)
    assert conforms(like, jax.eval_shape(lambda: like))
    for wrong in (
        like | {"w": jnp.zeros((3, 2))},
        like | {"w": jnp.zeros((2, 3), jnp.float16)},
        {"w": like["w"]},
        [like["b"], like["w"]],
    ):
        assert not conforms(wrong, like)


def test_a_site_s_part_is_set_and_read_back():
    stacked = per_site({"w": np.float32([1, 2]), "n": np.int32(3)}, 3)
    stacked = put(stacked, 1, {"w": jnp.array([5.0, 6.0]), "n": jnp.int32(7)})
    np.testing.assert_array_equal(stacked["w"], [[1, 2], [5, 6], [1, 2]])
    np.testing.assert_array_equal(stacked["n"], [3, 7, 3])
    one = take(stacked, jnp.int32(1))
    np.testing.assert_array_equal(one["w"], [5, 6])
    assert one["n"] == 7


@pytest.mark.parametrize(("value", "finite"), [(1.0, True), (np.nan, False), (-np.inf, False)])
def test_finiteness_is_that_of_floating_point_leaves(value, finite):
    tree = {"w": jnp.array([0.0, value]), "n": jnp.int32(1), "key": jax.random.key(0)}
    assert all_finite(tree) == finite
    assert all_finite({"n": jnp.int32(1)})


def test_platform_is_that_of_the_devices():
    assert platform(jax.random.key(0)) == "cpu"
    assert platform({"a": np.zeros(2), "b": jnp.zeros(2)}) == "cpu"
    assert platform(np.zeros(2)) == jax.devices()[0].platform
