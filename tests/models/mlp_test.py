import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.models.mlp import mlp


def test_two_layers_by_hand():
    model = mlp(1, (2,))
    params = {
        "Dense_0": {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)},
        "Dense_1": {"kernel": jnp.array([[2.0], [3.0]]), "bias": jnp.ones(1)},
    }
    outputs = model.apply({"params": params}, jnp.array([[[2.0]], [[-2.0]]]))
    np.testing.assert_allclose(outputs, [[5.0], [7.0]])  # 2 * 2 + 1, 3 * 2 + 1


def test_without_a_hidden_layer_it_is_linear():
    params = mlp(3, ()).init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
    assert jax.tree.map(jnp.shape, params) == {"Dense_0": {"kernel": (4, 3), "bias": (3,)}}


@pytest.mark.parametrize("arguments", [(0,), (1, (4, 0))])
def test_sizes_below_one(arguments):
    with pytest.raises(ValueError, match="must be at least 1"):
        mlp(*arguments)
