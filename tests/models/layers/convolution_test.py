import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.models import layers
from fl_jax.models.layers.convolution import convolution


def result(conv, x, w, padding=((1, 1), (1, 1)), strides=(1, 1)):
    form = jax.lax.conv_dimension_numbers(x.shape, w.shape, ("NHWC", "HWIO", "NHWC"))
    groups = x.shape[-1] // w.shape[2]

    def total(x, w):
        y = conv(x, w, strides, padding, dimension_numbers=form, feature_group_count=groups)
        return jnp.sum(jnp.sin(y)), y

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(x, w)


@pytest.mark.parametrize(
    ("image", "kernel", "padding", "strides"),
    [
        ((2, 6, 8, 4), (3, 3, 4, 16), ((1, 1), (1, 1)), (1, 1)),
        ((3, 5, 4, 16), (3, 3, 16, 16), "SAME", (1, 1)),
        ((2, 4, 5, 8), (3, 3, 8, 8), ((1, 1), (1, 1)), (1, 1)),
        ((2, 12, 12, 3), (5, 5, 3, 6), "VALID", (1, 1)),
        ((2, 6, 9, 6), (2, 4, 6, 3), ((0, 2), (3, 0)), (1, 1)),
        ((2, 4, 6, 1), (1, 3, 1, 2), "SAME", (1, 1)),
        # in groups
        ((2, 7, 8, 12), (3, 3, 3, 8), ((1, 1), (1, 1)), (2, 2)),
        ((2, 7, 8, 12), (3, 2, 6, 4), ((0, 2), (3, 0)), (1, 3)),
        # channel by channel; an eighth of a row at a time, and a row of odd length as a whole
        ((2, 9, 16, 5), (7, 5, 1, 5), "SAME", (1, 1)),
        ((3, 4, 5, 20), (1, 2, 1, 20), ((0, 2), (3, 0)), (1, 1)),
        ((1, 9, 6, 5), (5, 5, 1, 10), "SAME", (1, 1)),
        # of one pixel
        ((2, 7, 8, 12), (1, 1, 12, 40), ((0, 0), (0, 0)), (2, 2)),
        ((2, 5, 4, 12), (1, 1, 12, 7), "SAME", (2, 1)),
        ((2, 5, 4, 12), (1, 1, 12, 7), ((1, 1), (1, 1)), (1, 1)),
    ],
)
def test_values_and_gradients_are_the_stock_ones(image, kernel, padding, strides):
    x = jax.random.normal(jax.random.key(0), image)
    w = jax.random.normal(jax.random.key(1), kernel)
    pairs = zip(
        jax.tree.leaves(result(convolution, x, w, padding, strides)),
        jax.tree.leaves(result(jax.lax.conv_general_dilated, x, w, padding, strides)),
        strict=True,
    )
    for actual, wanted in pairs:
        np.testing.assert_allclose(actual, wanted, atol=2e-4, rtol=1e-4)


def test_it_is_taken_where_it_helps_and_only_there():
    def forms(width, stride, groups=1):
        model = layers.Conv(width, (3, 3), stride, padding=1, feature_group_count=groups)
        x = jnp.zeros((1, 8, 8, 16))
        params = model.init(jax.random.key(0), x)
        assert jax.tree.structure(params) == jax.tree.structure(
            nn.Conv(width, (3, 3), stride, padding=1, feature_group_count=groups).init(
                jax.random.key(0), x
            )
        )
        return "custom_vjp" in str(jax.make_jaxpr(model.apply)(params, x))

    assert forms(16, 1)
    assert not forms(32, 1)
    assert not forms(16, 2)
    assert forms(32, 2, groups=2)
    assert forms(16, 1, groups=16)
    assert not forms(16, 2, groups=16)


def test_under_vmap_too():
    x = jax.random.normal(jax.random.key(0), (3, 2, 4, 4, 8))
    w = jax.random.normal(jax.random.key(1), (3, 3, 3, 8, 8))
    together = jax.vmap(lambda x, w: result(convolution, x, w)[1])(x, w)
    one = result(convolution, x[1], w[1])[1]
    for actual, wanted in zip(together, one, strict=True):
        np.testing.assert_allclose(actual[1], wanted, atol=1e-4)
