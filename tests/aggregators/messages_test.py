import jax
import numpy as np
import optax
import pytest
from sent_messages import begin, flat, messages, one_round, rounds

from fl_jax.aggregators.median import median
from fl_jax.aggregators.messages import inner
from fl_jax.aggregators.quantize import quantize
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import spec

ROBUST = ("median", "trimmed_mean", "krum", "bulyan", "geometric_median", "centered_clip")
KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ROBUST)
def test_rules_over_all_messages(name):
    """One compilation a rule: order, absence, weight zero, one, nobody, and the state that a round leaves."""
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
    spoiled = jax.tree.map(lambda leaf: leaf.copy(), sent)
    for leaf in jax.tree.leaves(spoiled):
        leaf[~present] = np.nan
    one, left = close(state, sent, weights, present, KEY)
    other, _ = close(state, spoiled, weights, present, KEY)
    np.testing.assert_array_equal(flat(one), flat(other))
    weightless, _ = close(state, sent, np.where(present, weights, 0), everyone, KEY)
    np.testing.assert_array_equal(flat(one), flat(weightless))
    alone, _ = close(state, spoiled, weights, np.arange(8) == 6, KEY)
    np.testing.assert_allclose(flat(alone), flat(sent, 8)[6], rtol=1e-6)

    nobody, _ = close(left, spoiled, weights, np.zeros(8, bool), KEY)
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


@pytest.mark.parametrize("name", spec.names("fl_jax.aggregators"))
@pytest.mark.parametrize("sites", [1, 3, 5, 20])
def test_the_defaults_suit_any_number_of_sites(name, sites):
    aggregator = spec.build(f"{name}()", "fl_jax.aggregators")
    begin(aggregator, messages(sites))


@pytest.mark.parametrize("text", ["median()", "krum(byzantine=1)", "geometric_median()"])
def test_sums_that_overflow_do_not_spoil_the_rest(text):
    sent = messages(5)
    for leaf in jax.tree.leaves(sent):
        leaf[2] = 3e38
    result = flat(one_round(spec.build(text, "fl_jax.aggregators"), sent))
    honest = np.delete(flat(sent, 5), 2, axis=0)
    assert (result >= honest.min(0) - 1e-6).all()
    assert (result <= honest.max(0) + 1e-6).all()


def test_a_wrapper_takes_an_aggregator_and_compresses_once():
    assert inner(None, compresses=True).payload is weighted_mean().payload is None
    robust = median()
    assert inner(robust, compresses=True) is robust
    with pytest.raises(ValueError, match="must be an aggregator"):
        inner(optax.identity(), compresses=False)
    with pytest.raises(ValueError, match="wire format of its own"):
        quantize(aggregate=quantize())
