import jax
import jax.numpy as jnp
import pytest

from fl_jax.models.resnet import resnet


def test_default_shapes_and_size():
    model = resnet()
    images = jnp.zeros((2, 96, 96, 3))
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    logits = jax.eval_shape(lambda p: model.apply({"params": p}, images), params)
    assert logits.shape == (2, 6)
    assert 0.1e6 < sum(leaf.size for leaf in jax.tree.leaves(params)) < 0.2e6


@pytest.mark.parametrize("arguments", [{"widths": (8,)}, {"widths": (6, 8, 8, 8)}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ValueError, match="widths="):
        resnet(**arguments)
