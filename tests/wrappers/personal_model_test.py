"""A personal model at each site: its loss sees the algorithm's model, which trains as if alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.wrappers.personal_model import personal_model

PARAMS = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
BASE = fed_avg(linear_loss, optax.sgd(0.1), keep_optimizer=True)


def distance(personal, params, broadcast, batch, key):
    """Pulls the personal model half-way to twice the local model, plus the broadcast one."""
    target = 2 * params["b"] + broadcast["w"].sum()
    return 0.5 * ((personal - target) ** 2).sum()


def train(keep_optimizer, optimizer):
    wrapped = personal_model(
        BASE, distance, optimizer, lambda params: params["b"], keep_optimizer=keep_optimizer
    )
    site = wrapped.init_site(PARAMS)
    broadcast = wrapped.broadcast(wrapped.init_server(PARAMS))
    local = wrapped.client.start(broadcast, site, jax.random.key(0))
    plain = BASE.client.start(broadcast, BASE.init_site(PARAMS), jax.random.key(0))
    seen = []
    for batch in streamed(site_batches((3, 1, 2)))(0):
        seen.append(plain.params)
        local, plain = wrapped.client.step(local, batch), BASE.client.step(plain, batch)
    report, after = wrapped.client.finish(broadcast, site, local)
    wanted, _ = BASE.client.finish(broadcast, BASE.init_site(PARAMS), plain)
    jax.tree.map(np.testing.assert_array_equal, report, wanted)
    return after, seen


def test_the_loss_sees_the_local_model_before_its_step_and_the_broadcast():
    after, seen = train(False, optax.sgd(0.5))
    personal = np.zeros(2)
    for params in seen:
        personal += 0.5 * (2 * np.asarray(params["b"]) + 8 - personal)
    np.testing.assert_allclose(after.personal, personal, rtol=1e-6)


@pytest.mark.parametrize("keep", [True, False])
def test_the_optimiser_state_persists_only_if_asked(keep):
    after, _ = train(keep, optax.adam(0.1))
    counts = [x for x in jax.tree.leaves(after.optimizer) if jnp.issubdtype(x.dtype, jnp.integer)]
    assert [int(count) for count in counts] == ([3] if keep else [])
