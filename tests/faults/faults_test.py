"""Each fault: what arrives by hand, what the server does about it, and that its state stays finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.median import median
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts, spec
from fl_jax.core.receive import REFUSED
from fl_jax.faults.fault import build_faults
from fl_jax.faults.simulation import run_faulty_rounds
from fl_jax.faults.transport import with_faults

SITES = 4
EVERYONE = np.ones(SITES, bool)
BATCHES = site_batches((3, 2, 4, 3), sites=SITES)
ALGORITHM = fed_avg(linear_loss, optax.sgd(0.1))
LAYOUTS = ("sequential", "vmapped", "mesh")
PARAMS = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
STEPS = BATCHES.mask.any(-1).sum(-1)
MESSAGES = (  # those that act on a message or on a training; `trusting` is the server's
    "absent(1)",
    "drop_out(1)",
    "straggle(1, done=0.5)",
    "not_finite(1)",
    "not_finite(1, value='-inf')",
    "garble(1, how='shape')",
    "garble(1, how='dtype')",
    "garble(1, how='structure')",
    "explode(1, scale=1e3)",
    "explode(1, scale=1e38)",
    "sign_flip(1)",
    "label_flip(1, how='invert')",
    "label_flip(1, how='reverse')",
    "stale(1, delay=2)",
    "duplicate(1)",
)


def run(*specs, layout="sequential", aggregator=None, until=4, batches=BATCHES, **options):
    """The last state and every round's metrics of a federation with faults."""
    faults = build_faults(specs, SITES)
    between = with_faults(aggregator or weighted_mean(), faults)
    state = layouts.init(ALGORITHM, between, PARAMS, SITES, jax.random.key(0))
    all_rounds = run_faulty_rounds(
        layouts.make(layout, ALGORITHM, between),
        state,
        until=until,
        batches=lambda round, site: streamed(batches)(site),
        participants=lambda round: EVERYONE,
        faults=faults,
        steps=lambda round, site: int(STEPS[site]),
        **options,
    )
    states, metrics_by_round = zip(*all_rounds, strict=True)
    return states[-1], metrics_by_round


def params(*specs, **options):
    return run(*specs, **options)[0].server.params


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def without(site):
    mask = BATCHES.mask.copy()
    mask[site] = 0
    return BATCHES._replace(mask=mask)


def test_every_fault_is_tried_here():
    tried = {spec.parse(text).name for text in MESSAGES} | {"trusting"}
    assert tried == set(spec.names("fl_jax.faults"))


@pytest.mark.parametrize("text", MESSAGES)
def test_the_servers_state_stays_finite_and_layouts_agree(text):
    often = text[:-1] + ", share=0.5)"
    first, metrics_by_round = run(often, min_sites=1, until=8)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(first.server))
    assert 0 < sum(metrics["struck"].sum() for metrics in metrics_by_round) < 8
    for layout in LAYOUTS[1:]:
        other, again = run(often, min_sites=1, until=8, layout=layout)
        for a, b in zip(metrics_by_round, again, strict=True):
            assert a.keys() == b.keys()
            for name in {"struck", "accepted", "refused", "void", "copies"} & a.keys():
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5),
            first.server.params,
            other.server.params,
        )


LEFT_OUT = ("absent(1)", "drop_out(1)", "not_finite(1)", "not_finite(1, value='inf')")
LEFT_OUT += tuple(f"garble(1, how={how!r})" for how in ("shape", "dtype", "structure"))


@pytest.mark.parametrize("text", LEFT_OUT)
def test_what_is_left_out_is_as_if_the_site_had_no_example(text):
    equal(params(text), params(batches=without(0)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("not_finite(1)", "not finite"), ("garble(1)", "unreadable"), ("stale(1)", "stale")],
)
def test_the_server_says_why(text, reason):
    last = run(text)[1][-1]
    assert REFUSED[int(last["refused"][0])] == reason
    np.testing.assert_array_equal(last["accepted"], [False, True, True, True])


def test_a_straggler_sends_the_steps_that_it_took():
    mask = BATCHES.mask.copy()
    mask[2, 2:] = 0  # half of four
    equal(params("straggle((2,))"), params(batches=BATCHES._replace(mask=mask)))
    mask[2, 1:] = 0
    equal(params("straggle((2,), done=0)"), params(batches=BATCHES._replace(mask=mask)))


def test_flipped_labels_are_learned():
    labels = BATCHES.labels.copy()
    labels[0] = 1 - labels[0]
    equal(params("label_flip(1)"), params(batches=BATCHES._replace(labels=labels)))
    labels[0] = BATCHES.labels[0, ..., ::-1]
    flipped = params("label_flip(1, how='reverse')")
    equal(flipped, params(batches=BATCHES._replace(labels=labels)))


def test_a_flipped_message_goes_the_other_way():
    honest, flipped = params(until=1), params("sign_flip(4)", until=1)
    twice = params("sign_flip(4, scale=2.0)", until=1)
    for name, start in PARAMS.items():
        moved = honest[name] - start
        np.testing.assert_allclose(flipped[name], start - moved, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(twice[name], start - 2 * moved, rtol=1e-5, atol=1e-6)
    assert np.abs(params("sign_flip(1, scale=1e6)", aggregator=median())["w"]).max() < 10


def test_an_explosion_meets_a_robust_mean_or_a_void_round():
    assert np.abs(params("explode(1, scale=1e6)")["w"]).max() > 1e4
    assert np.abs(params("explode(1, scale=1e6)", aggregator=median())["w"]).max() < 10
    # Finite messages whose weighted sum is not: the round is not used, the model is that of the start.
    state, metrics_by_round = run("explode(4, scale=1e38)", min_sites=1, until=2)
    assert all(metrics["void"] for metrics in metrics_by_round)
    equal(state.server.params, PARAMS)
    assert int(state.round) == 2


def test_a_stale_message_is_what_the_site_made_so_many_rounds_ago():
    # Trusted, a delay of one in round 2 repeats round 1's message; the first one is on time.
    one = params(until=1)
    moved = jax.tree.map(lambda a, b: a - b, one, PARAMS)
    two = params("trusting()", "stale(4)", until=2)
    for name, start in PARAMS.items():
        np.testing.assert_allclose(two[name], start + 2 * moved[name], rtol=1e-5, atol=1e-6)
    state, metrics_by_round = run("stale(1, delay=2)")
    np.testing.assert_array_equal(
        [m["accepted"][0] for m in metrics_by_round], [True, False, False, False]
    )
    assert [int(state.participated[s]) for s in range(2)] == [4, 4]


def test_a_copy_counts_once_and_a_trusting_server_adds_it_twice():
    once, metrics_by_round = run("duplicate((0,), copies=3)", until=1)
    np.testing.assert_array_equal(metrics_by_round[0]["copies"], [3, 1, 1, 1])
    equal(once.server.params, params(until=1))
    weights = run("trusting()", "duplicate((0,), copies=3)", until=1)[1][0]["weight"]
    np.testing.assert_allclose(weights, BATCHES.mask.sum((1, 2)) * [3, 1, 1, 1])


def test_a_trusting_server_is_lost_to_one_nan():
    state, metrics_by_round = run("trusting()", "not_finite(1)", min_sites=1)
    assert np.isnan(state.server.params["w"]).any()
    assert not any(metrics["void"] for metrics in metrics_by_round)
    # What has another shape cannot be added by any server.
    assert not run("trusting()", "garble(1)")[1][-1]["accepted"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("absent(-1)", "sites=-1"),
        ("absent((0, 0))", r"sites=\(0, 0\)"),
        ("absent(5)", "the federation has sites 0..3"),
        ("absent(1, share=1.5)", "share=1.5"),
        ("drop_out(1, after=1.0)", "after=1.0"),
        ("straggle(1, done=-0.1)", "done=-0.1"),
        ("not_finite(1, value='7')", "value='7'"),
        ("garble(1, how='x')", "how='x'"),
        ("explode(1, scale=-1)", "scale=-1"),
        ("sign_flip(1, scale=0.0)", "scale=0.0"),
        ("label_flip(1, how='x')", "how='x'"),
        ("stale(1, delay=0)", "delay=0"),
        ("duplicate(1, copies=1)", "copies=1"),
        ("no_fault(1)", "there are: absent"),
    ],
)
def test_bad_arguments_are_named(text, said):
    with pytest.raises(ValueError, match=said):
        build_faults((text,), SITES)


def test_specs_are_a_tuple():
    with pytest.raises(ValueError, match="give a tuple"):
        build_faults("absent(1)", SITES)
