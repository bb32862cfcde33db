"""Each model has the parameters that its paper's or torchvision's table gives: by shapes alone."""

import jax
import jax.numpy as jnp
import pytest

from fl_jax.core import spec

TABLE = {  # 1000 labels, three channels
    "deep_resnet(18": 11_689_512,
    "deep_resnet(34": 21_797_672,
    "deep_resnet(50": 25_557_032,
    "deep_resnet(101": 44_549_160,
    "resnext(50": 25_028_904,
    "resnext(101, 32, 8": 88_791_336,
    "se_resnext(50": 27_559_896,
    "se_resnext(101": 48_955_416,
    "densenet(121": 7_978_856,
    "densenet(169": 14_149_480,
    "convnext(": 28_589_128,
}
EACH = ["deep_resnet(18", "resnext(50", "se_resnext(50", "densenet(121", "convnext("]


def build(name, *options):
    name, _, arguments = name.partition("(")
    return spec.build(f"{name}({', '.join(filter(None, [arguments, *options]))})", "fl_jax.models")


def shapes(model, shape=(2, 64, 64, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", TABLE)
def test_parameters(name):
    assert size(shapes(build(name, "labels=1000"))["params"]) == TABLE[name]


@pytest.mark.parametrize("name", EACH)
def test_other_sizes_channels_and_labels(name):
    model = build(name, "labels=5")
    variables = shapes(model, (1, 47, 70, 9))
    logits = jax.eval_shape(model.apply, variables, jnp.zeros((3, 47, 70, 9)))
    assert logits.shape == (3, 5)
    features = jax.eval_shape(
        lambda v, x: model.apply(v, x, features=True), variables, jnp.zeros((3, 96, 40, 9))
    )
    assert features.shape == (3, variables["params"][model.head]["kernel"].shape[0])


@pytest.mark.parametrize("name", EACH)
def test_products_in_bfloat16_leave_parameters_and_logits_in_float32(name):
    model = build(name, "dtype='bfloat16'")
    images = jnp.zeros((1, 64, 64, 3))
    variables = shapes(model, images.shape)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    jaxpr = jax.make_jaxpr(model.apply)(variables, images)
    convolutions = [e for e in jaxpr.eqns if e.primitive.name == "conv_general_dilated"]
    assert convolutions
    assert {e.outvars[0].aval.dtype for e in convolutions} == {jnp.dtype("bfloat16")}
    assert jaxpr.out_avals[0].dtype == jnp.float32


@pytest.mark.parametrize("norm", ["group", "layer", "none"])
@pytest.mark.parametrize("name", ["deep_resnet(18", "resnext(50", "densenet(121"])
def test_without_batches_there_is_no_state(name, norm):
    assert set(shapes(build(name, f"norm='{norm}'"))) == {"params"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("deep_resnet(20)", "depth=20"),
        ("deep_resnet(norm='instance')", "norm='instance'"),
        ("deep_resnet(dtype='float16')", "dtype='float16'"),
        ("deep_resnet(labels=0)", "labels=0"),
        ("resnext(18)", "depth=18"),
        ("resnext(groups=0)", "groups=0"),
        ("se_resnext(34)", "depth=34"),
        ("densenet(161)", "depth=161"),
        ("convnext(dtype='half')", "dtype='half'"),
    ],
)
def test_bad_arguments_are_named(text, named):
    with pytest.raises(ValueError, match=named):
        spec.build(text, "fl_jax.models")


@pytest.mark.parametrize("name", ["densenet()", "convnext()"])
def test_an_image_that_is_halved_away(name):
    with pytest.raises(ValueError, match="must be at least 32 x 32"):
        shapes(spec.build(name, "fl_jax.models"), (1, 31, 64, 3))


@pytest.mark.parametrize("name", ["deep_resnet(18", "se_resnext(50", "densenet(121", "convnext("])
def test_blocks_computed_again_have_the_same_parameters(name):
    model, images = build(name), jnp.zeros((1, 64, 64, 3))
    again = model.clone(remat=True)
    variables = shapes(model, images.shape)
    assert shapes(again, images.shape) == variables

    def program(model):
        return str(jax.make_jaxpr(lambda v: model.apply(v, images))(variables))

    assert "remat" not in program(model)
    assert program(again).count("remat") > 5
