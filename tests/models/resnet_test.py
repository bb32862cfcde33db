from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.models.layers.norm import KINDS
from fl_jax.models.resnet import MEAN, SD, histograms, resnet, standardised


def test_default_shapes_and_size():
    model = resnet()
    images = jnp.zeros((2, 96, 96, 3))
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    logits = jax.eval_shape(lambda p: model.apply({"params": p}, images), params)
    assert logits.shape == (2, 6)
    assert 0.05e6 < sum(leaf.size for leaf in jax.tree.leaves(params)) < 0.1e6


def test_a_histogram_by_hand():
    image = np.zeros((1, 2, 4, 2), np.float32)
    image[0, :, :2, 0] = [[0, 0.5], [0.25, 1]]  # bins at 0, 1/2, 1; a quarter is half of two bins
    image[0, :, :2, 1] = 0.75
    histogram = histograms(image, patch=2, bins=3)
    assert histogram.shape == (1, 1, 2, 6)
    first, second = np.reshape(histogram[0, 0], (2, 3, 2))  # place, bin, window
    np.testing.assert_allclose(first[:, 0], [1.5 / 4, 1.5 / 4, 1 / 4])
    np.testing.assert_allclose(first[:, 1], [0, 0.5, 0.5])
    np.testing.assert_allclose(second[0], 1)


def test_bins_sum_to_one():
    images = jax.random.uniform(jax.random.key(0), (2, 12, 8, 3))
    histogram = histograms(images, patch=4, bins=5).reshape(2, 3, 2, 5, 3)
    np.testing.assert_allclose(histogram.sum(3), 1, rtol=1e-6)


def test_patches_must_fill_the_image():
    with pytest.raises(ValueError, match="patch=4: does not divide images of 30 x 32"):
        histograms(jnp.zeros((1, 30, 32, 3)), patch=4, bins=5)


def test_too_many_blocks_or_bins():
    with pytest.raises(ValueError, match=r"blocks=\(1000, 1\): must be at most 1000 together"):
        resnet(blocks=(1000, 1))
    with pytest.raises(ValueError, match="bins=1001: must be at least 1, and 2 to 1000"):
        resnet(bins=1001)


@pytest.mark.parametrize("norm", KINDS)
def test_every_normalisation_has_its_layers_and_reads_a_batch(norm):
    model = resnet((8,), (1,), (2,), stem=8, patch=2, bins=2, labels=2, norm=norm)
    images, mask = jax.random.uniform(jax.random.key(0), (4, 8, 8, 2)), jnp.ones(4)
    variables = jax.jit(model.init)(jax.random.key(1), images)
    rest = {name: x for name, x in variables.items() if name != "params"}
    assert [*rest] == (["batch_stats"] if norm == "batch" else [])
    names = "/".join(map(str, jax.tree.leaves_with_path(variables["params"])))
    layers = [name for name in ("BatchNorm", "GroupNorm", "StandardisedConv") if name in names]
    layer = {"batch": "BatchNorm", "none": "StandardisedConv"}.get(norm, "GroupNorm")
    assert layers == [layer]

    apply = jax.jit(partial(model.apply, mutable=[*rest]))
    outputs, changed = apply(variables, images, mask)
    assert np.isfinite(outputs).all()
    assert np.ptp(outputs, axis=0).min() > 0  # it tells examples apart
    assert jax.tree.structure(changed) == jax.tree.structure(rest)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"widths": (8,)}, "widths="),
        ({"widths": (6, 8)}, "widths="),
        ({"stem": 2}, "stem=2"),
        ({"patch": 0}, "patch=0"),
        ({"bins": 1}, "bins=1"),
        ({"norm": "instance"}, "norm='instance'"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        resnet(**arguments)


def test_histograms_are_standardised_bin_by_bin():
    counts = np.stack([np.full(2, value) for value in MEAN]).reshape(1, 1, 1, -1)
    shifted = counts + np.repeat(SD, 2)
    np.testing.assert_allclose(standardised(counts, bins=5), 0.0, atol=1e-6)
    np.testing.assert_allclose(standardised(shifted, bins=5), 1.0, rtol=1e-5)
    assert standardised(np.zeros((1, 1, 1, 27)), bins=9).shape == (1, 1, 1, 27)
