"""Values that the tests of FedJAX, pfl-research and Flower assert; where they are wrong, the paper's as well.

FedJAX: `fedjax/algorithms/*_test.py`; pfl-research: `tests/algorithm/test_{scaffold,fedprox}.py`; Flower:
`flwr/server/strategy/fedadagrad_test.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.agnostic import agnostic
from fl_jax.algorithms.apfl import apfl
from fl_jax.algorithms.fed_adagrad import fed_adagrad
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_prox import fed_prox
from fl_jax.algorithms.ifca import ifca
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.mime_lite import mime_lite
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import layouts
from fl_jax.core.types import Batch

pytestmark = pytest.mark.usefixtures("x64")
SGD = optax.sgd(1.0)


def batch(*values, size=3):
    """A batch of numbers, or of rows, padded to `size` examples."""
    inputs = np.array(values, float)
    missing = size - len(inputs)
    inputs = np.pad(inputs, ((0, missing), *((0, 0),) * (inputs.ndim - 1)))
    return Batch(inputs, np.zeros((size, 1)), np.pad(np.ones(size - missing), (0, missing)))


def linear(params, batch, key):
    """FedJAX's loss x w of an example x."""
    del key
    return (batch.inputs * batch.mask).sum() / batch.mask.sum() * params["w"]


def quotient(params, batch, key):
    """The loss whose gradient is FedJAX's w / (sum of the batch's x)."""
    del key
    return 0.5 * (params["w"] ** 2).sum() / (batch.inputs * batch.mask).sum()


def one_round(algorithm, w, sites):
    """The state after a round of `sites`, lists of batches, and the metrics."""
    state = layouts.init(
        algorithm, weighted_mean(), {"w": jnp.asarray(w)}, len(sites), jax.random.key(0)
    )
    run = layouts.sequential(algorithm, weighted_mean())
    return run(state, lambda s: sites[s], np.ones(len(sites), bool))


def one_site(algorithm, w, batches, *, server=lambda state: state, site=lambda state: state):
    """What a site sends and keeps after `batches`, with other states of server and site."""
    start = {"w": jnp.asarray(w)}
    sent = algorithm.broadcast(server(algorithm.init_server(start)))
    kept = site(algorithm.init_site(start))
    local = algorithm.client.start(sent, kept, jax.random.key(0))
    for b in batches:
        local = algorithm.client.step(local, b)
    report, kept = algorithm.client.finish(sent, kept, local)
    return report.message, kept


TWO_BATCHES = [(batch(2, 4, 6), batch(8, 10, 12)), (batch(1, 3, 5), batch(7, 9, 11))]


def test_fed_avg_is_fedjax():
    for batches, delta in zip(TWO_BATCHES, (0.45555544, 0.5761316), strict=True):
        message, _ = one_site(fed_avg(quotient, SGD), 4.0, batches)
        np.testing.assert_allclose(-message["w"], delta, rtol=1e-6)


def test_fed_prox_is_fedjax():
    algorithm = fed_prox(linear, SGD, mu=0.01)
    for batches, delta in zip(TWO_BATCHES, (13.96, 11.97), strict=True):
        message, _ = one_site(algorithm, 4.0, batches)
        np.testing.assert_allclose(-message["w"], delta, rtol=1e-12)
    state, _ = one_round(algorithm, 4.0, [(batch(6, 4), batch(2)), (batch(8, 10),)])
    np.testing.assert_allclose(state.params["w"], -3.77, rtol=1e-12)


def test_mime_is_fedjax_with_its_server_rate():
    state, _ = one_round(mime(linear, SGD), 4.0, [(batch(6, 4), batch(2)), (batch(8, 10),)])
    np.testing.assert_allclose(4 + 0.2 * (state.params["w"] - 4), 2.08, rtol=1e-12)


def test_mime_lite_is_fedjax_with_its_server_rate():
    state, _ = one_round(
        mime_lite(linear, SGD), 4.0, [(batch(0.6, 0.4), batch(0.2)), (batch(0.1, 0.8),)]
    )
    np.testing.assert_allclose(4 + 0.2 * (state.params["w"] - 4), 3.88, rtol=1e-12)


def test_the_domain_weights_are_fedjax():
    """Exponentiated gradient. FedJAX's sites may have several domains; ours are one each."""
    sites = [[batch(*[0.25 * x] * n, size=4)] for n, x in enumerate((10.0, 0.0, 5.0, 0.0), 1)]
    algorithm = agnostic(linear, optax.sgd(0.0), rate=0.1)
    first, _ = one_round(algorithm, 4.0, sites)
    run = layouts.sequential(algorithm, weighted_mean())
    _, metrics = run(first, lambda s: sites[s], np.ones(4, bool))
    expected = [0.198931, 0.14636526, 0.36197326, 0.2927305]
    np.testing.assert_allclose(metrics["weight"] / metrics["weight"].sum(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("v", "alpha", "fedjax", "next_alpha"),
    [
        (2.0, 0.0, 1.6666666, 2 / 3),
        (2.0, 0.5, 1.75, 1.0),
        (2.0, 1.0, 1.8333334, 1.0),
        (8.0, 0.0, 7.6666665, 0.0),
        (8.0, 0.5, 7.5, 0.0),
        (8.0, 1.0, 7.3333335, 0.0),
    ],
)
def test_apfl_is_fedjax_but_for_the_factor_alpha_of_its_personal_step(v, alpha, fedjax, next_alpha):
    """FedJAX's step of v is the gradient at the mixture; the paper's is alpha times that, for v."""
    algorithm = apfl(quotient, SGD, alpha=alpha, alpha_rate=1.0)

    def with_v(site):
        return site._replace(personal=site.personal._replace(params={"w": jnp.asarray(v)}))

    message, site = one_site(algorithm, 4.0, [batch(2, 4, 6)], site=with_v)
    np.testing.assert_allclose(-message["w"], 0.33333325, rtol=1e-6)
    np.testing.assert_allclose(site.personal.params["w"], v - alpha * (v - fedjax), rtol=1e-6)
    np.testing.assert_allclose(site.personal.alpha, next_alpha, rtol=1e-6)


def test_ifca_is_fedjax_hyp_cluster_with_its_server_rate():
    data = ([1.1], [0.9, 0.9], [-1.1], [-0.9, -0.9, -0.9])
    sites = [[batch(x, size=1) for x in values] for values in data]  # a step ends at an example
    loss = lambda params, b, key: (b.mask * (params["w"] - b.inputs) ** 2).sum()  # noqa: E731
    algorithm = ifca(loss, optax.sgd(0.5), server_optimizer=optax.sgd(0.25))
    state = layouts.init(algorithm, weighted_mean(), {"w": jnp.asarray(0.0)}, 4, jax.random.key(0))
    clusters = state.server.clusters._replace(params={"w": jnp.array([1.0, -1.0])})
    state = state._replace(server=state.server._replace(clusters=clusters))
    run = layouts.sequential(algorithm, weighted_mean())
    state, _ = run(state, lambda s: sites[s], np.ones(4, bool))
    np.testing.assert_array_equal(state.sites, [0, 0, 1, 1])
    expected = [1 - 0.25 * (-0.1 + 0.1 * 2) / 3, -1 - 0.25 * (0.1 - 0.1 * 3) / 4]
    np.testing.assert_allclose(state.server.clusters.params["w"], expected, rtol=1e-12)


X, TARGETS, W = (
    np.array([[1.0, 0.0], [0.0, 2.0]]),
    np.array([[4.0, 6.0], [8.0, 12.0]]),
    [[2.0, 4.0], [3.0, 5.0]],
)


def absolute(params, batch, key):
    """pfl-research's loss: summed absolute errors, a mean over two examples."""
    del key
    return jnp.abs(batch.inputs @ params["w"] - TARGETS).sum() / len(TARGETS)


@pytest.mark.parametrize(
    ("mu", "step"), [(0.0, [[0.5, 0.5], [1.0, 1.0]]), (1.0, [[0.375] * 2, [0.75] * 2])]
)
def test_fed_prox_is_pfl(mu, step):
    algorithm = fed_prox(absolute, optax.sgd(0.5), mu=mu)
    message, _ = one_site(algorithm, W, [batch(*X, size=2)] * 2)
    np.testing.assert_allclose(message["w"], step, rtol=1e-12)


@pytest.mark.parametrize(
    ("option", "c", "step", "pfl", "plus"),
    [
        (2, 0.0, (0.05, 0.1), (0.5, 1.0), (-0.5, -1.0)),
        (2, 0.1, (0.04, 0.09), (0.3, 0.8), (-0.5, -1.0)),
        (1, 0.0, (0.05, 0.1), (0.5, 1.0), (-0.5, -1.0)),
        (1, 0.1, (0.04, 0.09), (0.5, 1.0), (-0.5, -1.0)),
    ],
)
def test_scaffold_is_pfl_but_for_the_sign_of_its_control_variate(option, c, step, pfl, plus):
    """The gradient is -0.5 and -1; pfl-research has c_i of the other sign, so that it adds to the drift.

    With option 2 and c = 0.1 its formula, c_i - c + (y - x) / (K lr), gives 0.3 and 0.8.
    """
    algorithm = scaffold(absolute, optax.sgd(0.1), option=option)
    server = lambda state: state._replace(extra={"w": jnp.full((2, 2), c)})  # noqa: E731
    (moved, change), _ = one_site(algorithm, W, [batch(*X, size=2)], server=server)
    np.testing.assert_allclose(moved["w"], np.stack([step, step], 1), rtol=1e-12)
    np.testing.assert_allclose(change["w"], np.stack([plus, plus], 1), rtol=1e-12)
    if option == 2:
        np.testing.assert_allclose(-c + np.array(step) / 0.1, pfl, rtol=1e-12)


def test_fed_adagrad_is_flower_but_for_the_start_of_v():
    """Flower's v starts at 0, Reddi et al.'s at tau^2: 0.1 becomes 0.15 there."""
    algorithm = fed_adagrad(linear, SGD, server_lr=0.1, b1=0.0, tau=0.5)
    state = algorithm.init_server({"w": jnp.full(4, 0.1)})
    mean = {"w": jnp.full(4, 0.5)}  # of updates 0.1 and 0.9
    moved = algorithm.server(state, mean, jnp.ones(())).params["w"]
    for v, expected in ((0.0, 0.15), (0.5**2, moved)):
        step = 0.1 * 0.5 / (np.sqrt(v + 0.5**2) + 0.5)
        np.testing.assert_allclose(0.1 + step, expected, rtol=1e-12)
