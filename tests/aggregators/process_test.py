import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sent_messages import flat, messages, one_round, rounds

from fl_jax.aggregators.median import median
from fl_jax.aggregators.process import process
from fl_jax.aggregators.quantize import quantize
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import spec

KEY = jax.random.key(0)
ALL = np.ones(2, bool)


@pytest.mark.parametrize("inner", [weighted_mean, median])
def test_of_nothing_it_is_the_inner_aggregator(inner):
    sent, weights = messages(5), [1, 2, 3, 4, 5]
    one = one_round(process(aggregate=inner()), sent, weights=weights)
    other = one_round(inner(), sent, weights=weights)
    np.testing.assert_array_equal(flat(one), flat(other))


def test_clips_every_message_over_all_its_leaves_and_scales_the_aggregate():
    rule = process(optax.clip_by_global_norm(5.0), post=optax.scale(2.0))
    sent = (np.float32([[30], [3]]), np.float32([40, 0]))  # norms 50 and 3
    u, v = one_round(rule, sent, weights=[1, 3])
    np.testing.assert_allclose(u, [2 * (1 * 3 + 3 * 3) / 4], rtol=1e-6)
    np.testing.assert_allclose(v, 2 * (1 * 4 + 3 * 0) / 4, rtol=1e-6)


def test_state_is_kept_for_each_site_and_for_the_aggregate():
    """trace(0.5): t <- m + 0.5 t at either site, site 1 absent in round two; then again on the mean."""
    rule = process(optax.trace(0.5), post=optax.trace(0.5))
    close, weights = rounds(rule), np.ones(2, np.float32)
    state, means = rule.init(jnp.zeros(()), 2), []
    for sent, present in [((4, 2), (1, 1)), ((1, 9), (1, 0)), ((0, 9), (0, 0)), ((1, 1), (1, 1))]:
        mean, state = close(state, np.float32(sent), weights, np.array(present, bool), KEY)
        means.append(float(mean))
    # sites: 4, 2; 3; -; 2.5, 2.  means: 3, 3, -, 2.25
    assert means == [3.0, 3 + 1.5, 0.0, 2.25 + 2.25]


def test_noise_is_drawn_afresh_for_every_site_round_and_run():
    rule = process(optax.add_noise(1.0, 0.0, 0), post=optax.add_noise(1.0, 0.0, 0))
    close, state = rounds(rule), rule.init(jnp.zeros(1000), 2)
    zeros, weights = np.zeros((2, 1000), np.float32), np.ones(2, np.float32)

    def noise(state, present, seed):
        return close(state, zeros, weights, np.array(present, bool), jax.random.key(seed))

    both, after = noise(state, (1, 1), 0)
    again, _ = noise(state, (1, 1), 0)
    np.testing.assert_array_equal(both, again)
    draws = [
        both,
        noise(state, (1, 0), 0)[0],
        noise(state, (0, 1), 0)[0],
        noise(state, (1, 1), 1)[0],
    ]
    draws.append(noise(after, (1, 1), 2)[0])
    correlation = np.corrcoef(draws)
    assert abs(correlation[1, 2]) < 0.1  # two sites
    assert abs(correlation[0, 3]) < 0.1  # two runs
    assert abs(correlation[0, 4]) < 0.1  # two rounds
    np.testing.assert_allclose(np.var(draws, axis=1), [1.5, 2, 2, 1.5, 1.5], rtol=0.2)
    nothing, kept = noise(state, (0, 0), 0)
    np.testing.assert_array_equal(nothing, np.zeros(1000))
    assert kept.post.count == 0
    assert after.post.count == 1


def test_two_of_them_do_not_share_their_noise():
    rule = process(optax.add_noise(1.0, 0.0, 0), process(optax.add_noise(1.0, 0.0, 0)))
    noise = one_round(rule, np.zeros((1, 2000), np.float32))
    np.testing.assert_allclose(np.var(noise), 2, rtol=0.2)  # 4 if they did


def test_payload_is_the_inner_aggregators():
    message = jnp.zeros(8)
    assert process(optax.clip(1.0)).payload is None
    assert process(optax.clip(1.0), quantize(8)).payload(message) == 12


def test_a_spec_mixes_aggregators_and_transformations():
    text = "process(pre=clip_by_global_norm(1.0), aggregate=top_k(1.0, aggregate=median()), post=scale(2.0))"
    sent = messages(3)
    values = flat(sent, 3)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    result = flat(one_round(spec.build(text, "fl_jax.aggregators"), sent))
    np.testing.assert_allclose(result, 2 * np.median(values, axis=0), rtol=1e-5)


def test_refuses_parts_of_the_wrong_kind():
    with pytest.raises(ValueError, match="must be optax transformations"):
        process(pre=median())
    with pytest.raises(ValueError, match="must be an aggregator"):
        process(aggregate=optax.clip(1.0))
