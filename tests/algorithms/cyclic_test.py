import jax
import jax.numpy as jnp
import numpy as np
import optax
from linear_problem import streamed
from quadratic_problem import START, quadratic_loss, real, sgd, site_batches

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.cyclic import cyclic
from fl_jax.core import layouts


def test_a_round_takes_the_model_from_site_to_site():
    batches = site_batches((4, 2, 3), (4, 2, 3), spread=0.5)
    algorithm = cyclic(quadratic_loss, optax.sgd(0.1))
    params = {"x": jnp.asarray(START, jnp.float32)}
    state = layouts.init(algorithm, weighted_mean(), params, 3, jax.random.key(0))
    run, x = layouts.sequential(algorithm, weighted_mean()), START
    for present in np.array([(1, 1, 1), (1, 0, 1)], bool):
        state, _ = run(state, streamed(batches), present)
        for site in np.flatnonzero(present):
            x = sgd(x, real(batches, site), 0.1)
        np.testing.assert_allclose(state.server.params["x"], x, rtol=1e-5, atol=1e-5)
