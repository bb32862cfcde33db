import jax
import numpy as np
import pytest
from sent_messages import begin, flat, messages, one_round, rounds

from fl_jax.core import spec

ROBUST = ("median", "trimmed_mean", "krum", "bulyan", "geometric_median", "centered_clip")
KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ROBUST)
def test_rules_over_all_messages(name):
    """In one compilation per rule: order, absence, weight zero, one site, none, and what a round leaves."""
    aggregator = spec.build(f"{name}()", "fl_jax.aggregators")
    close, sent = rounds(aggregator), messages(8, huge=[3], flipped=[5])
    everyone, weights = np.ones(8, bool), np.linspace(1, 2, 8, dtype=np.float32)
    state = begin(aggregator, sent)
    result, _ = close(state, sent, weights, everyone, KEY)
    order = np.random.default_rng(1).permutation(8)
    swapped = jax.tree.map(lambda leaf: leaf[order], sent)
    again, _ = close(state, swapped, weights[order], everyone, KEY)
    np.testing.assert_allclose(flat(again), flat(result), rtol=1e-5)

    present = np.array([1, 0, 1, 0, 1, 1, 1, 1], bool)
    nan_where_absent = jax.tree.map(lambda leaf: leaf.copy(), sent)
    for leaf in jax.tree.leaves(nan_where_absent):
        leaf[~present] = np.nan
    one, left = close(state, sent, weights, present, KEY)
    other, _ = close(state, nan_where_absent, weights, present, KEY)
    np.testing.assert_array_equal(flat(one), flat(other))
    weightless, _ = close(state, sent, np.where(present, weights, 0), everyone, KEY)
    np.testing.assert_array_equal(flat(one), flat(weightless))
    alone, _ = close(state, nan_where_absent, weights, np.arange(8) == 6, KEY)
    np.testing.assert_allclose(flat(alone), flat(sent, 8)[6], rtol=1e-6)

    nobody, _ = close(left, nan_where_absent, weights, np.zeros(8, bool), KEY)
    np.testing.assert_array_equal(flat(nobody), np.zeros(11))
    kept = left.messages if name == "centered_clip" else left
    for leaf in jax.tree.leaves(kept):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


@pytest.mark.parametrize("attack", ["huge", "flipped"])
@pytest.mark.parametrize("name", [*ROBUST, "weighted_mean"])
def test_a_fifth_of_the_sites_breaks_the_mean_and_no_robust_rule(name, attack):
    sites = 15 if name == "bulyan" else 10
    bad = range(sites // 5)
    setting = "radius=1.0, iterations=20" if name == "centered_clip" else ""
    aggregator = spec.build(f"{name}({setting})", "fl_jax.aggregators")
    sent = messages(sites, **{attack: bad})
    honest = flat(sent, sites)[len(bad) :]
    error = np.abs(flat(one_round(aggregator, sent)) - honest.mean(0)).max()
    assert error > 1.5 if name == "weighted_mean" else error < 0.8


EXACT = (*ROBUST, "weighted_mean", "process", "secure_sum")


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("sites", [1, 3, 5, 20])
def test_sites_that_agree_get_what_they_send(name, sites):
    """By default, whatever the number of sites."""
    sent = jax.tree.map(lambda leaf: np.repeat(leaf[:1], sites, 0), messages(1)[0])
    result = one_round(spec.build(f"{name}()", "fl_jax.aggregators"), sent)
    np.testing.assert_allclose(flat(result), flat(sent, sites)[0], rtol=2e-6, atol=1e-4)


def test_every_aggregator_has_such_a_test():
    compressors = {"quantize", "top_k", "drive"}  # in compression_test.py
    assert compressors | set(EXACT) == set(spec.names("fl_jax.aggregators"))


@pytest.mark.parametrize("text", ["median()", "krum(byzantine=1)", "geometric_median()"])
def test_sums_that_overflow_do_not_spoil_the_rest(text):
    sent = messages(5)
    for leaf in jax.tree.leaves(sent):
        leaf[2] = 3e38
    result = flat(one_round(spec.build(text, "fl_jax.aggregators"), sent))
    honest = np.delete(flat(sent, 5), 2, axis=0)
    assert (result >= honest.min(0) - 1e-6).all()
    assert (result <= honest.max(0) + 1e-6).all()
