"""Programs take the forms of the platform that they are lowered for, not of the one that traces them."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core.layouts import common
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import windows
from fl_jax.data.augmentation import augment
from fl_jax.models.deep_resnet import DeepResNet
from fl_jax.models.layers.convolution import convolution
from fl_jax.models.resnet import resnet
from fl_jax.tasks.multi_label import multi_label

PIXELS, STEPS = 32, 3


def exported(model, platform, *, steps=1, micro_batches=1):
    """The text of K steps of a client."""
    task = multi_label(
        model,
        jnp.zeros((1, PIXELS, PIXELS), jnp.int16),
        prepare=windows.channels,
        augment=augment,
        micro_batches=micro_batches,
    )
    client = fed_avg(task.loss, optax.sgd(0.1)).client
    params = jax.eval_shape(task.init, jax.random.key(0))
    local = jax.eval_shape(client.start, params, (), jax.random.key(0))
    shapes = Batch(
        jax.ShapeDtypeStruct((4, PIXELS, PIXELS), jnp.int16),
        jax.ShapeDtypeStruct((4, len(LABELS)), jnp.float32),
        jax.ShapeDtypeStruct((4,), jnp.float32),
    )
    program = jax.jit(partial(common.chain, client.step) if steps > 1 else client.step)
    batches = [shapes] * steps if steps > 1 else shapes
    return jax.export.export(program, platforms=[platform])(local, batches).mlir_module()


def forms(text):
    """How often each form is in a program."""
    return {
        "convolution": text.count("stablehlo.convolution"),
        "columns at once": len(re.findall(r"stride = \[1, [2-9]|rhs_dilate = \[1, [2-9]", text)),
        "while": text.count("stablehlo.while"),
        "first maximum": text.count('"stablehlo.select_and_scatter"'),
        "product": text.count("stablehlo.dot_general"),
    }


@pytest.fixture(scope="module")
def step():
    return {each: forms(exported(resnet(), each)) for each in ("cpu", "cuda", "tpu")}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_all_images_turn_at_once(step, platform):
    assert step[platform]["while"] == 0 < step["cpu"]["while"]


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_several_steps_are_a_loop(step, platform):
    several = forms(exported(resnet(), platform, steps=STEPS))
    assert several["convolution"] == step[platform]["convolution"]
    assert several["while"] == 1


def test_several_steps_are_unrolled_for_a_cpu(step):
    several = forms(exported(resnet(), "cpu", steps=STEPS))
    assert several["convolution"] == STEPS * step["cpu"]["convolution"]


def test_micro_batches_are_a_loop_on_an_accelerator(step):
    parts = partial(exported, resnet(), micro_batches=2)
    assert forms(parts("cuda"))["convolution"] == step["cuda"]["convolution"]
    assert forms(parts("cpu"))["convolution"] == 2 * step["cpu"]["convolution"]


def test_grouped_convolutions_and_pooling():
    model = DeepResNet((1,), True, 32, 4, 0, len(LABELS), "group", jnp.float32)
    cpu, cuda, tpu = (forms(exported(model, each)) for each in ("cpu", "cuda", "tpu"))
    assert cpu["first maximum"] == 0
    assert cuda["first maximum"] == tpu["first maximum"] == 1
    assert cuda["product"] == tpu["product"] < cpu["product"]  # 1 x 1, and gradients by group


def test_narrow_and_depthwise_convolutions():
    def gradients(groups):
        of = partial(convolution, window_strides=(1, 1), padding="SAME")
        numbers = jax.lax.conv_dimension_numbers((1,) * 4, (1,) * 4, ("NHWC", "HWIO", "NHWC"))
        of = partial(of, dimension_numbers=numbers, feature_group_count=groups)
        return jax.grad(lambda x, w: of(x, w).sum(), argnums=(0, 1))

    shapes = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 4))
    depthwise = shapes[0], jnp.zeros((3, 3, 1, 4))
    for given, groups in ((shapes, 1), (depthwise, 4)):
        program = jax.jit(gradients(groups))
        cpu, cuda, tpu = (
            forms(jax.export.export(program, platforms=[each])(*given).mlir_module())
            for each in ("cpu", "cuda", "tpu")
        )
        assert cuda == tpu != cpu
        assert cuda["columns at once"] == cuda["while"] == 0
        assert cpu["columns at once"] if groups == 1 else cpu["convolution"] == 0
