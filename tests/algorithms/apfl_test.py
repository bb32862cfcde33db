import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed
from personal_problem import STEPS, along, close, double, federate, linear_gradient, of_site

from fl_jax.algorithms.apfl import apfl
from fl_jax.algorithms.fed_avg import fed_avg

PRESENT = [(1, 1, 1), (1, 0, 1), (0, 1, 1)]


def by_hand(params, batches, alpha, alpha_rate, rate):
    """APFL in float64: the server's model, and each site's (v, alpha)."""
    x, own = double(params), [(double(params), alpha) for _ in STEPS]
    for present in PRESENT:
        total, weight = along((0, x)), 0
        for site in np.flatnonzero(present):
            w, (v, a) = x, own[site]
            for batch in streamed(batches)(site):
                mixed = linear_gradient(along((a, v), (1 - a, w)), batch)
                slope = sum(((v[name] - w[name]) * mixed[name]).sum() for name in v)
                w = along((1, w), (-rate, linear_gradient(w, batch)))
                v = along((1, v), (-rate * a, mixed))
                a = min(max(a - alpha_rate * slope, 0), 1)
            own[site] = v, a
            count = batches.mask[site].sum()
            total, weight = along((1, total), (count, w), (-count, x)), weight + count
        x = along((1, x), (1 / weight, total))
    return x, own


@pytest.mark.parametrize("alpha_rate", [0.0, 2.0])
def test_equals_the_papers_algorithm(params, alpha_rate):
    batches = site_batches(STEPS)
    algorithm = apfl(linear_loss, optax.sgd(1.0), alpha=0.3, alpha_rate=alpha_rate)
    state, _ = federate(algorithm, params, batches, PRESENT)
    x, own = by_hand(params, batches, 0.3, alpha_rate, rate=1.0)
    close(state.server.params, x)
    for site, (v, alpha) in enumerate(own):
        kept = of_site(state.sites, site)
        close(kept.personal.params, v)
        np.testing.assert_allclose(kept.personal.alpha, alpha, rtol=5e-6)
        assert (abs(alpha - 0.3) > 1e-3) == (alpha_rate > 0)
        close(algorithm.personal(state.server, kept), along((alpha, v), (1 - alpha, x)))


def test_alpha_stays_a_share(params):
    state, _ = federate(
        apfl(linear_loss, optax.sgd(1.0), alpha_rate=1e4), params, site_batches(STEPS), PRESENT
    )
    assert set(np.asarray(state.sites.personal.alpha).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
def test_the_global_part_is_fed_avg_and_so_is_a_mixture_without_v(params, keep):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    algorithm = apfl(linear_loss, optimizer, alpha=0.0, keep_optimizer=keep)
    state, metrics = federate(algorithm, params, batches, PRESENT)
    plain = fed_avg(linear_loss, optimizer, keep_optimizer=keep)
    expected, expected_metrics = federate(plain, params, batches, PRESENT)
    close(state.server, expected.server, tolerance=1e-7)
    close(state.sites.base, expected.sites, tolerance=1e-7)
    close(metrics, expected_metrics, tolerance=1e-7)
    personal = algorithm.personal(state.server, of_site(state.sites, 1))
    close(personal, state.server.params, tolerance=0)


def test_with_v_alone_it_is_a_local_model(params):
    batches, optimizer = site_batches(STEPS), optax.adam(0.1)
    algorithm = apfl(linear_loss, optimizer, alpha=1.0)
    state, _ = federate(algorithm, params, batches, np.ones((2, 3)))
    alone = type(batches)(*(leaf[:1] for leaf in batches))
    local, _ = federate(fed_avg(linear_loss, optimizer), params, alone, np.ones((2, 1)))
    close(algorithm.personal(state.server, of_site(state.sites, 0)), local.server.params)


@pytest.mark.parametrize("name", ["alpha", "alpha_rate"])
def test_what_is_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=-0.1: must"):
        apfl(linear_loss, optax.sgd(0.1), **{name: -0.1})
