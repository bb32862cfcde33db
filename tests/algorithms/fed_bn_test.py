import jax
import numpy as np
import optax
import pytest
from linear_problem import site_batches, streamed
from personal_problem import (
    STEPS,
    begin,
    close,
    federate,
    names,
    network_loss,
    network_params,
    of_site,
)

from fl_jax.algorithms.fed_bn import fed_bn
from fl_jax.algorithms.fed_per import fed_per

LOCAL = {
    fed_bn: ["GroupNorm_0/scale"],
    fed_per: ["Dense_0/bias", "Dense_0/kernel"],
}
EVERYTHING = set(names(network_params()))


def flat(tree):
    return dict(zip(names(tree), jax.tree.leaves(tree), strict=True))


def by_hand(local, params, batches, rounds, rate):
    """Two dictionaries of leaves by name: the server's, and each site's own."""
    structure = jax.tree.structure(params)
    gradient = jax.jit(jax.grad(network_loss))
    server, own = flat(params), [{n: flat(params)[n] for n in local} for _ in STEPS]
    for _ in range(rounds):
        updates, weights = [], batches.mask.sum((1, 2))
        for site in range(len(STEPS)):
            leaves = server | own[site]
            for batch in streamed(batches)(site):
                step = flat(
                    gradient(structure.unflatten(leaves.values()), batch, jax.random.key(0))
                )
                leaves = {name: leaves[name] - rate * step[name] for name in leaves}
            updates.append({name: leaves[name] - server[name] for name in leaves})
            own[site] = {name: leaves[name] for name in local}
        for name in set(server) - set(local):
            mean = sum(w * u[name] for w, u in zip(weights, updates, strict=True)) / weights.sum()
            server[name] = server[name] + mean
    return server, own


@pytest.mark.parametrize("factory", LOCAL)
def test_sites_share_some_leaves_and_go_on_with_their_own(factory):
    params, batches = network_params(), site_batches(STEPS)
    algorithm = factory(network_loss, optax.sgd(0.3))
    state, _ = federate(algorithm, params, batches, np.ones((3, 3)))
    server, own = by_hand(LOCAL[factory], params, batches, rounds=3, rate=0.3)
    close(flat(state.server.params), server)
    for site in range(len(STEPS)):
        kept = of_site(state.sites, site)
        close(flat(kept.local), own[site])
        personal = flat(algorithm.personal(state.server, kept))
        close(personal, server | own[site])
        assert not np.allclose(personal[LOCAL[factory][0]], server[LOCAL[factory][0]], atol=1e-3)


@pytest.mark.parametrize("factory", LOCAL)
def test_what_stays_crosses_the_wire_in_neither_direction(factory):
    params, algorithm = network_params(), factory(network_loss, optax.sgd(0.3))
    server, site = algorithm.init_server(params), algorithm.init_site(params)
    sent = algorithm.broadcast(server)
    local = algorithm.client.start(sent, site, jax.random.key(0))
    report, _ = algorithm.client.finish(sent, site, local)
    assert set(names(sent)) == set(names(report.message)) == EVERYTHING - set(LOCAL[factory])


def test_a_pattern_of_ones_own():
    algorithm = fed_bn(network_loss, optax.sgd(0.3), local="bias$")
    assert names(algorithm.init_site(network_params()).local) == ["Dense_0/bias"]


@pytest.mark.parametrize(("pattern", "found"), [("nothing", "none"), ("_0/", "all")])
def test_a_pattern_that_leaves_nothing_or_everything_to_share_is_refused(pattern, found):
    algorithm = fed_bn(network_loss, optax.sgd(0.3), local=pattern)
    for init in (algorithm.init_server, algorithm.init_site):
        with pytest.raises(ValueError, match=f"local='{pattern}': matches {found} .*Conv_0/kernel"):
            init(network_params())
    with pytest.raises(ValueError, match=r"local='\(': not a regular expression"):
        fed_bn(network_loss, optax.sgd(0.3), local="(")


def test_an_absent_site_keeps_its_leaves_and_is_sent_the_new_ones():
    params, batches = network_params(), site_batches(STEPS)
    algorithm = fed_bn(network_loss, optax.adam(0.1), keep_optimizer=True)
    state, _ = federate(algorithm, params, batches, [(1, 0, 1)])
    absent = of_site(state.sites, 1)
    close(absent, algorithm.init_site(params), tolerance=0)
    personal = algorithm.personal(state.server, absent)
    close(personal["Conv_0"], state.server.params["Conv_0"], tolerance=0)
    assert not np.allclose(personal["Conv_0"]["kernel"], params["Conv_0"]["kernel"], atol=1e-3)


def test_the_servers_optimizer_leaves_what_is_not_its_own():
    params, batches = network_params(), site_batches(STEPS)
    decaying = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.5))
    algorithm = fed_bn(network_loss, optax.sgd(0.3), server_optimizer=decaying)
    server = federate(algorithm, params, batches, [(1, 1, 1)])[0].server.params
    close(server["GroupNorm_0"], params["GroupNorm_0"], tolerance=0)
    whole = federate(fed_bn(network_loss, optax.sgd(0.3)), params, batches, [(1, 1, 1)])[0]
    mean = whole.server.params["Conv_0"]["kernel"]
    before = params["Conv_0"]["kernel"]
    expected = before + 0.5 * (mean - before) - 0.05 * before
    close(server["Conv_0"]["kernel"], expected)


def test_a_new_optimizer_each_round_is_kept_at_no_site():
    params = network_params()
    fresh = begin(fed_bn(network_loss, optax.adam(0.1)), params)
    assert names(fresh.sites) == ["local/GroupNorm_0/scale"]
