import jax
import numpy as np
import optax
import pytest
from sent_messages import flat, messages, one_round

from fl_jax.aggregators.compression import inner_aggregator
from fl_jax.aggregators.drive import drive
from fl_jax.aggregators.median import median
from fl_jax.aggregators.quantize import quantize
from fl_jax.aggregators.top_k import top_k
from fl_jax.aggregators.weighted_mean import weighted_mean


@pytest.mark.parametrize("sites", [1, 3, 20])
def test_what_sites_that_agree_lose_by_compression(sites):
    sent = jax.tree.map(lambda leaf: np.repeat(leaf[:1], sites, 0), messages(1)[0])
    truth = jax.tree.map(lambda leaf: leaf[0], sent)
    rules = quantize(), top_k(), drive(exact_below=0)
    quantized, sparse, bits = (one_round(rule, sent) for rule in rules)
    for name, leaf in truth.items():
        assert np.abs(quantized[name] - leaf).max() <= np.abs(leaf).max() / 127
        kept = np.asarray(sparse[name]).ravel() != 0
        assert kept.tolist() == (np.abs(leaf).ravel() == np.abs(leaf).max()).tolist()
        np.testing.assert_allclose(
            np.asarray(sparse[name]).ravel()[kept], leaf.ravel()[kept], rtol=1e-6
        )
        inner = (np.asarray(bits[name], np.float64) * leaf).sum()
        np.testing.assert_allclose(inner, (leaf.astype(np.float64) ** 2).sum(), rtol=1e-5)


def test_a_robust_rule_sees_the_decoded_messages():
    sent = messages(9, huge=[4])
    honest = np.delete(flat(sent, 9), 4, axis=0)
    result = flat(one_round(quantize(bits=12, aggregate=median()), sent))
    assert np.abs(result - honest.mean(0)).max() < 0.8


def test_a_wrapper_takes_an_aggregator_and_compresses_once():
    assert inner_aggregator(None, compresses=True).payload is weighted_mean().payload is None
    robust = median()
    assert inner_aggregator(robust, compresses=True) is robust
    with pytest.raises(ValueError, match="must be an aggregator"):
        inner_aggregator(optax.identity(), compresses=False)
    with pytest.raises(ValueError, match="compresses messages that are compressed already"):
        quantize(aggregate=quantize())
