import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.models.layers.norm import KINDS, Norm, StandardisedConv, conv, standardise


def test_standardised_kernels_keep_the_variance_of_a_relu():
    kernel = standardise(3 + jax.random.normal(jax.random.key(0), (3, 3, 16, 8)))
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-6)
    gain = 2 / (1 - 1 / np.pi)
    np.testing.assert_allclose(kernel.var((0, 1, 2)), gain / 144, rtol=1e-4)
    x = nn.relu(jax.random.normal(jax.random.key(1), (4, 32, 32, 16)))
    y = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert 0.85 < y.var() < 1.15


def test_a_kernel_that_is_all_alike_is_zero_and_has_a_gradient():
    kernel = jnp.ones((3, 3, 2, 2))
    assert (standardise(kernel) == 0).all()
    assert jnp.isfinite(jax.grad(lambda k: standardise(k)[0, 0, 0, 0])(kernel)).all()


def test_a_standardised_convolution_is_one_of_its_kernel():
    x = jax.random.normal(jax.random.key(0), (2, 9, 7, 4))
    layer = StandardisedConv(6, 3, stride=2, groups=2)
    params = layer.init(jax.random.key(1), x)["params"]
    params = params | {"gain": jnp.arange(6.0), "bias": jnp.arange(6.0) / 2}
    kernel = params["gain"] * standardise(params["kernel"])
    stock = nn.Conv(6, (3, 3), 2, padding=1, feature_group_count=2)
    wanted = stock.apply({"params": {"kernel": kernel, "bias": params["bias"]}}, x)
    np.testing.assert_allclose(layer.apply({"params": params}, x), wanted, rtol=1e-5, atol=1e-5)


class Branch(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x):
        x = conv(x, 4, 3, kind=self.kind, closes_branch=True, name="conv1")
        return Norm(self.kind, name="bn1")(x)


def test_without_normalisation_a_branch_begins_as_nothing():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 4))
    y, _ = Branch("none").init_with_output(jax.random.key(1), x)
    assert (y == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_fed_bn_finds_the_layers(kind):
    variables = Branch(kind).init(jax.random.key(0), jnp.ones((2, 8, 8, 4)))
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(variables["params"])
    ]
    layer = {"batch": "BatchNorm_0", "group": "GroupNorm_0", "layer": "GroupNorm_0"}.get(kind)
    wanted = {"bn1/" + layer + "/scale", "bn1/" + layer + "/bias"} if layer else set()
    assert wanted == {name for name in names if name.startswith("bn1")}


def test_batch_normalisation_reads_its_running_statistics_but_in_training():
    x = 5 + 2 * jax.random.normal(jax.random.key(0), (8, 6, 6, 3))
    layer = Norm("batch")
    variables = layer.init(jax.random.key(1), x)
    np.testing.assert_allclose(layer.apply(variables, x), x, rtol=1e-4)  # mean 0, variance 1
    y, changed = layer.apply(variables, x, jnp.ones(8), mutable=["batch_stats"])
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-5)
    kept = changed["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(kept["mean"], 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(kept["var"], 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-4)


def test_padding_has_no_say_in_the_moments_of_a_batch():
    x = jax.random.normal(jax.random.key(0), (4, 6, 6, 3))
    layer = Norm("batch")
    variables = layer.init(jax.random.key(1), x)
    run = lambda x, mask: layer.apply(variables, x, mask, mutable=["batch_stats"])  # noqa: E731
    padded, kept = run(x.at[3].set(1e6), jnp.array([1.0, 1, 1, 0]))
    alone, wanted = run(x[:3], jnp.ones(3))
    np.testing.assert_allclose(padded[:3], alone, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), kept, wanted)
    assert jnp.isfinite(run(x, jnp.zeros(4))[0]).all()


def test_training_by_a_batch_s_moments_is_that_of_flax():
    x = 3 + jax.random.normal(jax.random.key(0), (5, 4, 6, 8))
    mask = jnp.array([1.0, 0, 1, 1, 0])
    stock = nn.BatchNorm(use_running_average=False, momentum=0.9, epsilon=1e-5)
    inner = {
        "params": {"scale": jnp.arange(8.0), "bias": 1 - jnp.arange(8.0)},
        "batch_stats": {"mean": jnp.arange(8.0), "var": 1 + jnp.arange(8.0)},
    }
    ours = {kind: {"BatchNorm_0": leaves} for kind, leaves in inner.items()}
    real = mask[:, None, None, None] > 0

    def ends(run, variables):
        def of(x, params):
            y, changed = run({**variables, "params": params}, x)
            return jnp.sin(jnp.where(real, y, 0)).sum(), (y, changed["batch_stats"])

        return jax.jit(jax.grad(of, (0, 1), has_aux=True))(x, variables["params"])

    outputs = ends(lambda v, x: Norm("batch").apply(v, x, mask, mutable=["batch_stats"]), ours)
    wanted = ends(lambda v, x: stock.apply(v, x, mask=real, mutable=["batch_stats"]), inner)
    for a, b in zip(jax.tree.leaves(outputs), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "groups"), [("group", 4), ("layer", 1)])
def test_groups(kind, groups):
    x = jax.random.normal(jax.random.key(0), (2, 5, 5, 36))  # gcd(32, 36) is 4
    y, _ = Norm(kind).init_with_output(jax.random.key(1), x)
    split = np.reshape(y, (2, 25, groups, -1))
    np.testing.assert_allclose(split.mean((1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(split.var((1, 3)), 1, rtol=1e-3)
