import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.tasks.flip_average import flip_average
from fl_jax.tasks.multi_label import multi_label


def test_a_flipped_prediction_is_the_mean_of_the_logits_and_knows_no_side():
    flat = lambda x: x.reshape(len(x), -1)  # noqa: E731
    plain = multi_label(nn.Dense(2), jnp.zeros((1, 3, 4, 5)), prepare=flat)
    params, both = plain.init(jax.random.key(0)), flip_average(plain)
    x = jax.random.normal(jax.random.key(1), (2, 3, 4, 5))
    mirrored = x[:, :, :, ::-1]
    wanted = (plain.logits(params, x) + plain.logits(params, mirrored)) / 2
    np.testing.assert_allclose(both.logits(params, x), wanted, rtol=1e-6)
    np.testing.assert_allclose(
        both.logits(params, x), both.logits(params, mirrored), rtol=1e-5, atol=1e-6
    )
    assert np.abs(both.logits(params, x) - plain.logits(params, x)).max() > 0.1
    assert both.loss is plain.loss
