"""Splitting a model into shared and local leaves, and the wrapper around FedAvg."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.wrappers.keep_local import keep_local, merge, split

PARAMS = {"w": jnp.arange(8.0).reshape(4, 2), "b": jnp.array([8.0, 9.0])}


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_split_and_merge_are_inverse():
    shared, local = split(PARAMS, "^b$")
    assert shared["b"] is None
    assert local["w"] is None
    equal(shared["w"], PARAMS["w"])
    equal(local["b"], PARAMS["b"])
    equal(merge(shared, local), PARAMS)


@pytest.mark.parametrize(("pattern", "count"), [("nothing", "none"), ("", "all")])
def test_some_leaves_are_shared_and_some_are_local(pattern, count):
    with pytest.raises(ValueError, match=f"local='{pattern}': matches {count} .* The leaves: b, w"):
        split(PARAMS, pattern)


def test_local_leaves_persist_at_the_site_and_never_reach_the_server():
    algorithm = keep_local(fed_avg(linear_loss, optax.sgd(0.1)), "^b$")
    server, site = algorithm.init_server(PARAMS), algorithm.init_site(PARAMS)
    broadcast = algorithm.broadcast(server)
    local = algorithm.client.start(broadcast, site, jax.random.key(0))
    trained = jax.tree.map(lambda x: x + 1, local.params)
    local = local._replace(params=trained, examples=jnp.float32(5))
    report, site = algorithm.client.finish(broadcast, site, local)
    equal(jax.tree.leaves(report.message), [jnp.ones((4, 2))])
    equal(site.local["b"], PARAMS["b"] + 1)
    server = algorithm.server(server, report.message, jnp.float32(1))
    equal(server.params, PARAMS | {"w": PARAMS["w"] + 1})
    equal(algorithm.personal(server, site), trained)


def test_local_leaves_that_are_not_finite_give_the_message_a_weight_of_nan():
    algorithm = keep_local(fed_avg(linear_loss, optax.sgd(0.1)), "^b$")
    server, site = algorithm.init_server(PARAMS), algorithm.init_site(PARAMS)
    broadcast = algorithm.broadcast(server)
    local = algorithm.client.start(broadcast, site, jax.random.key(0))
    broken = local._replace(params=local.params | {"b": jnp.array([jnp.nan, 1])})
    report, _ = algorithm.client.finish(broadcast, site, broken)
    assert np.isnan(report.weight)
    assert np.isfinite(report.message["w"]).all()
