import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import hadamard
from sent_messages import flat, messages, one_round

from fl_jax.aggregators.drive import drive
from fl_jax.aggregators.median import median


def reads(v, draws):
    """What the server reads of one site's message, for many keys; of each row if v is a matrix."""
    rule = drive(exact_below=0)

    def read(v, key):
        state = rule.add(rule.init(v, 1), jnp.int32(0), v, jnp.float32(1), key)
        return rule.finish(state)[0]

    many = jax.vmap(jax.vmap(read, (0, None)) if v.ndim == 2 else read, (None, 0))
    return np.asarray(jax.jit(many)(v, jax.random.split(jax.random.key(0), draws)), np.float64)


@pytest.mark.parametrize("size", [8, 5])
def test_it_is_the_papers_definition_for_some_signs(size):
    v = np.random.default_rng(0).normal(size=8) * (np.arange(8) < size)
    possible = []
    for signs in itertools.product([-1, 1], repeat=8):
        rotation = hadamard(8) * np.array(signs) / np.sqrt(8)
        rotated = rotation @ v
        scale = (v**2).sum() / abs(rotated).sum()
        possible.append(scale * rotation.T @ np.sign(rotated))
    x = reads(jnp.float32(v[:size]), 20)
    distances = abs(x[:, None] - np.array(possible)[None, :, :size]).max(-1)
    assert distances.min(1).max() < 1e-6
    assert len(np.unique(distances.argmin(1))) > 1


def test_the_estimate_keeps_the_inner_product_and_its_mean_is_near_the_message():
    v = np.random.default_rng(1).normal(size=100).astype(np.float32)
    x, square = reads(jnp.asarray(v), 500), (v.astype(np.float64) ** 2).sum()
    np.testing.assert_allclose(x @ v, square, rtol=1e-5)
    one = ((x - v) ** 2).sum(1).mean() / square
    assert one < 128 / 100 * np.pi / 2  # the paper's pi / 2 - 1, and what the padding reads
    assert ((x.mean(0) - v) ** 2).sum() / square < 3 * one / 500


@pytest.mark.parametrize(("size", "normal"), [(8, (0.08, 0.38)), (64, (0, 0.03))])
def test_the_bias_is_the_documented_one(size, normal):
    """Of one dominating value, and the mean of six normal arrays, others than the documented ones."""
    one_large = np.r_[3 * np.sqrt(size), np.ones(size - 1)]
    arrays = [*np.random.default_rng(0).normal(size=(6, size)), one_large]
    x = reads(jnp.float32(arrays), 5000)
    squares = ((x.mean(0) - arrays) ** 2).sum(1) - x.var(0).sum(1) / len(x)  # less the mean's noise
    bias = np.sqrt(np.maximum(squares, 0)) / np.linalg.norm(arrays, axis=1)
    assert bias[-1] == pytest.approx(0.32, abs=0.02)
    assert normal[0] <= bias[:-1].mean() <= normal[1]


def test_small_arrays_are_sent_as_they_are():
    sent = {"small": np.arange(63, dtype=np.float32)[None], "large": np.ones((1, 64), np.float32)}
    sent["large"][0, :3] = 5
    result = one_round(drive(), sent)
    np.testing.assert_array_equal(result["small"], sent["small"][0])
    assert len(np.unique(np.abs(result["large"]).round(5))) > 3  # the signs' pattern, not 1 and 5
    with pytest.raises(ValueError, match="exact_below=-1"):
        drive(exact_below=-1)


def test_scalars_and_zeros_are_exact_and_an_inner_rule_takes_what_is_read():
    sent = messages(3)
    _, scalar = one_round(drive(median(), exact_below=0), sent)
    np.testing.assert_allclose(scalar, np.median(sent[1]), rtol=1e-6)
    zero = jax.tree.map(np.zeros_like, sent)
    np.testing.assert_array_equal(flat(one_round(drive(exact_below=0), zero)), np.zeros(11))


def test_payload_by_hand():
    message = {"w": jnp.zeros((3, 3)), "b": jnp.zeros(2), "c": jnp.zeros(())}
    # 16, 2 and 1 bits, and scales
    assert drive(exact_below=0).payload(message) == (2 + 4) + (1 + 4) + (1 + 4)
    assert drive(exact_below=3).payload(message) == (2 + 4) + 2 * 4 + 4
    assert drive().payload(message) == 4 * 12
