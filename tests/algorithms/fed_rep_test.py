import jax
import numpy as np
import optax
import pytest
from linear_problem import site_batches, streamed
from personal_problem import STEPS, along, close, federate, network_loss, network_params, of_site

from fl_jax.algorithms.fed_rep import fed_rep

BODY = ("Conv_0", "GroupNorm_0")


def by_hand(params, batches, rounds, head_steps, optimizer):
    """FedRep as in the paper, head and body as two dictionaries with an optimiser's state each."""
    gradient = jax.jit(jax.grad(network_loss))
    shares = batches.mask.sum((1, 2)) / batches.mask.sum()
    body = {name: params[name] for name in BODY}
    heads = [{"Dense_0": params["Dense_0"]} for _ in STEPS]
    head_states = [optimizer.init(head) for head in heads]
    body_states = [optimizer.init(body) for _ in STEPS]
    for _ in range(rounds):
        trained = []
        for site in range(len(STEPS)):
            mine = body
            for step, batch in enumerate(streamed(batches)(site)):
                found = gradient(mine | heads[site], batch, jax.random.key(0))
                if step < head_steps:
                    head = {"Dense_0": found["Dense_0"]}
                    move, head_states[site] = optimizer.update(head, head_states[site], heads[site])
                    heads[site] = optax.apply_updates(heads[site], move)
                else:
                    rest = {name: found[name] for name in BODY}
                    move, body_states[site] = optimizer.update(rest, body_states[site], mine)
                    mine = optax.apply_updates(mine, move)
            trained.append(mine)
        body = along(*zip(shares, trained, strict=True))
    return body, heads


@pytest.mark.parametrize("head_steps", [1, 2])
@pytest.mark.parametrize("optimizer", [optax.sgd(0.3, momentum=0.9), optax.adam(0.1)])
def test_the_head_is_trained_first_and_then_the_body(head_steps, optimizer):
    params, batches = network_params(), site_batches(STEPS)
    algorithm = fed_rep(network_loss, optimizer, head_steps=head_steps, keep_optimizer=True)
    state, _ = federate(algorithm, params, batches, np.ones((3, 3)))
    body, heads = by_hand(params, batches, 3, head_steps, optimizer)
    close(state.server.params, body | {"Dense_0": params["Dense_0"]}, tolerance=1e-5)
    for site, head in enumerate(heads):
        personal = algorithm.personal(state.server, of_site(state.sites, site))
        close(personal, body | head, tolerance=1e-5)


def test_a_head_that_is_not_finite_is_left_out_although_it_is_not_sent():
    params, batches = network_params(), site_batches(STEPS)
    batches.inputs[1] = np.nan  # one step, which only the head is trained in
    algorithm = fed_rep(network_loss, optax.sgd(0.3))
    state, metrics = federate(algorithm, params, batches, [(1, 1, 1)])
    np.testing.assert_array_equal(metrics["accepted"], [True, False, True])
    close(of_site(state.sites, 1), algorithm.init_site(params), tolerance=0)


def test_there_is_a_step_for_the_head():
    with pytest.raises(ValueError, match="head_steps=0: must be at least 1"):
        fed_rep(network_loss, optax.sgd(0.3), head_steps=0)
