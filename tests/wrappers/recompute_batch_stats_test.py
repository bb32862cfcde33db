"""Recomputed statistics against those of all sites' data in one array, in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import Batch
from fl_jax.models.layers.norm import Norm
from fl_jax.wrappers.recompute_batch_stats import (
    Moments,
    layer_moments,
    merge,
    pooled,
    recompute_batch_stats,
)

KEY = jax.random.key(0)
EPSILON = 1e-5  # of `Norm`


class Deep(nn.Module):
    """Three layers in a row, and one beside the second."""

    @nn.compact
    def __call__(self, x, mask=None):
        x = nn.relu(Norm("batch", name="one")(x, mask))
        y = Norm("batch", name="two")(nn.Dense(4, name="a")(x), mask)
        x = nn.relu(y + Norm("batch", name="beside")(nn.Dense(4, name="b")(x), mask))
        return Norm("batch", name="three")(nn.Dense(3, name="c")(x), mask).mean((1, 2))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def of(x):
    x = x.reshape(-1, x.shape[-1]).astype(np.float64)
    return Moments(len(x), x.mean(0), ((x - x.mean(0)) ** 2).sum(0))


def close(found, wanted, rtol=1e-12):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), found, wanted)


@pytest.mark.parametrize("sizes", [(5, 5), (1, 900, 3), (0, 7, 0, 2), (4,)])
def test_parts_of_any_size_have_the_moments_of_the_whole(sizes):
    x = 1e4 + normal(sum(sizes), 3)  # far from 0, where E x^2 - (E x)^2 would lose eight digits
    parts = np.split(x, np.cumsum(sizes)[:-1])
    empty = Moments(0, np.zeros(3), np.zeros(3))
    close(pooled([of(p) if len(p) else empty for p in parts]), of(x), rtol=1e-11)


def test_by_hand():
    a, b = Moments(2, np.array([1.0]), np.array([2.0])), Moments(1, np.array([7.0]), np.zeros(1))
    close(merge(a, b), Moments(3, np.array([3.0]), np.array([26.0])))  # of 0, 2 and 7
    with pytest.raises(ValueError, match="at least one"):
        pooled([])


def site(x, size=8):
    """A site's examples as batches, the last one padded with what must not count."""

    def batches():
        for at in range(0, len(x), size):
            part = x[at : at + size]
            mask = np.arange(size) < len(part)
            padded = np.full((size, *x.shape[1:]), 1e6, np.float32)
            padded[mask] = part
            yield Batch(padded, np.zeros((size, 1)), mask.astype(np.float32))

    return batches


def model():
    module = Deep()
    variables = module.init(KEY, jnp.zeros((1, 4, 4, 2)))
    scales = jax.tree.map(lambda x: x + jax.random.normal(KEY, x.shape) / 2, variables["params"])
    return module.apply, {**variables, "params": scales}


def reference(variables, x):
    """Every layer's mean and variance over all examples, one layer after another, in float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    found = {}

    def norm(name, x):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        found[name] = {"BatchNorm_0": {"mean": mean, "var": var}}
        own = params[name]["BatchNorm_0"]
        return (x - mean) / np.sqrt(var + EPSILON) * own["scale"] + own["bias"]

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    x = np.maximum(norm("one", x.astype(np.float64)), 0)
    x = np.maximum(norm("two", dense("a", x)) + norm("beside", dense("b", x)), 0)
    norm("three", dense("c", x))
    return found


# float32 keeps 6e-8 of a number; three layers of dot products of up to four terms, each divided by a standard
# deviation of order one, leave 1e-5 with some to spare.
BOUND = 1e-5


def test_shifted_sites_of_unequal_size_get_the_moments_of_the_pooled_data():
    apply, variables = model()
    data = [normal(37, 4, 4, 2), 6 + 3 * normal(5, 4, 4, 2, seed=1), np.zeros((0, 4, 4, 2))]
    found = recompute_batch_stats(apply, variables, [site(x) for x in data])
    close(found.variables["batch_stats"], reference(variables, np.concatenate(data)), BOUND)
    assert found.variables["params"] is variables["params"]
    # Three passes, as three layers follow each other, and one that finds nothing more to move.
    assert len(found.shifts) == 4
    assert min(found.shifts[:3]) > 1e-3
    assert found.shifts[3] == 0


def test_how_the_examples_are_divided_changes_nothing():
    apply, variables = model()
    x = normal(24, 4, 4, 2)
    whole = recompute_batch_stats(apply, variables, [site(x, size=24)]).variables["batch_stats"]
    parts = [site(x[:3]), site(x[3:4]), site(x[4:], size=5)]
    close(recompute_batch_stats(apply, variables, parts).variables["batch_stats"], whole, BOUND)


def test_a_tolerance_ends_it_earlier():
    apply, variables = model()
    x = normal(24, 4, 4, 2)
    exact = recompute_batch_stats(apply, variables, [site(x)])
    short = recompute_batch_stats(apply, variables, [site(x)], tolerance=max(exact.shifts))
    assert short.shifts == exact.shifts[:1]
    one, other = short.variables["batch_stats"], exact.variables["batch_stats"]
    close(one["one"], other["one"], 0)  # the first layer is exact after one pass
    assert np.any(one["three"]["BatchNorm_0"]["mean"] != other["three"]["BatchNorm_0"]["mean"])


def test_a_layer_that_is_called_twice_sees_both():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            layer = nn.BatchNorm(use_running_average=True)
            return layer(x), layer(x + 1)

    x = np.float32(normal(6, 2, 2, 3))
    variables = Twice().init(KEY, x)
    (found,) = layer_moments(Twice().apply)(variables, x, np.ones(6)).values()
    close(found, of(np.concatenate([x, x + 1])), BOUND)


def test_what_cannot_be_recomputed():
    apply, variables = model()
    x = normal(3, 4, 4, 2)
    with pytest.raises(ValueError, match="none of 2 has an example"):
        recompute_batch_stats(apply, variables, [site(x[:0])] * 2)
    with pytest.raises(ValueError, match="tolerance=-1"):
        recompute_batch_stats(apply, variables, [site(x)], tolerance=-1)
    with pytest.raises(ValueError, match="not finite"):
        recompute_batch_stats(apply, variables, [site(np.nan * x)])
    extra = {**variables["batch_stats"], "five": {"mean": jnp.zeros(1), "var": jnp.ones(1)}}
    with pytest.raises(ValueError, match=r"five/mean, five/var"):
        recompute_batch_stats(apply, {**variables, "batch_stats": extra}, [site(x)])
