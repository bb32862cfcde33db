import jax
import numpy as np
import optax
import pytest
from quadratic_problem import quadratic_loss, report, site_batches

from fl_jax.algorithms.fed_exp import fed_exp

UPDATE = {"x": np.array([0.3, -0.4], np.float32)}  # of norm 0.5
START = {"x": np.array([1.0, 1.0], np.float32)}


@pytest.mark.parametrize(
    ("square", "eta"), [(0.25, 1.0), (0.5, 1.0), (2.0, 4.0), (5.0, 10.0)], ids=str
)
def test_the_step_grows_with_the_disagreement_and_is_never_shorter_than_fed_avgs(square, eta):
    algorithm = fed_exp(quadratic_loss, optax.sgd(0.1), epsilon=1e-9)
    server = algorithm.server(
        algorithm.init_server(START), (UPDATE, np.float32(square)), np.ones(())
    )
    np.testing.assert_allclose(server.params["x"], START["x"] + eta * UPDATE["x"], rtol=1e-6)


def test_epsilon_bounds_the_step():
    algorithm = fed_exp(quadratic_loss, optax.sgd(0.1), epsilon=0.25)
    server = algorithm.server(algorithm.init_server(START), (UPDATE, np.float32(5.0)), np.ones(()))
    np.testing.assert_allclose(server.params["x"], START["x"] + 5 * UPDATE["x"], rtol=1e-6)


def test_a_site_sends_the_square_of_its_updates_norm():
    batches = site_batches((1, 1, 1))
    batch = jax.tree.map(lambda leaf: leaf[0, 0], batches)
    update, square = report(fed_exp(quadratic_loss, optax.sgd(0.1)), [batch]).message
    np.testing.assert_allclose(square, (update["x"] ** 2).sum(), rtol=1e-6)
    assert square > 0


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_epsilon_is_positive(epsilon):
    with pytest.raises(ValueError, match="must be above 0; a large one is FedAvg"):
        fed_exp(quadratic_loss, optax.sgd(0.1), epsilon=epsilon)
