import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from weight_files import shapes, state_dict

from fl_jax.models.convnext import convnext
from fl_jax.models.deep_resnet import deep_resnet
from fl_jax.models.densenet import densenet
from fl_jax.models.mlp import mlp
from fl_jax.models.pretrained.convert import convert
from fl_jax.models.pretrained.load import pretrained


def ends(model):
    return {"stem": model.stem, "head": model.head}


@pytest.mark.parametrize("model", [deep_resnet(18), convnext()], ids=["resnet", "convnext"])
def test_every_leaf_is_found(model):
    converted = convert(state_dict(model), shapes(model), **ends(model))
    assert jax.tree.map(jnp.shape, converted) == jax.tree.map(jnp.shape, shapes(model))


def test_the_layout_of_a_kernel():
    model = deep_resnet(18)
    given = state_dict(model)
    converted = convert(given, shapes(model), **ends(model))["params"]
    kernel, dense = given["layer2.0.downsample.0.weight"], given["fc.weight"]
    np.testing.assert_allclose(
        converted["layer2_0"]["downsample_0"]["kernel"][0, 0], kernel[..., 0, 0].T
    )
    np.testing.assert_allclose(
        converted["conv1"]["kernel"][1, 2, 0, 5], given["conv1.weight"][5, 0, 1, 2]
    )
    np.testing.assert_allclose(converted["fc"]["kernel"], dense.T)


def test_densenets_names_of_today_and_of_the_public_file():
    model = densenet()
    wanted = state_dict(model)
    for rule in (r"\1\2", r"\1.\2"):  # norm1, and norm.1 before torchvision 0.3
        given = {
            "features." * name.startswith(("conv", "norm", "dense", "tran"))
            + re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", rule, name): value
            for name, value in wanted.items()
        }
        converted = convert(given, shapes(model), **ends(model))["params"]
        np.testing.assert_allclose(
            converted["denseblock2"]["denselayer3"]["norm2"]["BatchNorm_0"]["scale"],
            wanted["denseblock2.denselayer3.norm2.weight"],
        )


def test_other_labels_take_a_new_head():
    given, model = state_dict(deep_resnet(18, labels=10)), deep_resnet(18, labels=6)
    with pytest.raises(ValueError, match=r"fc\.\w+ is .*use a new head"):
        convert(given, shapes(model), **ends(model))
    converted = convert(given, shapes(model), **ends(model), new_head=True)
    assert "fc" not in converted["params"]
    assert "conv1" in converted["params"]


def test_other_channels_repeat_those_there_are():
    model = deep_resnet(18)
    given = state_dict(model)
    with pytest.raises(ValueError, match=r"conv1\.weight is .*repeat channels"):
        convert(given, shapes(model, 7), **ends(model))
    kernel = given["conv1.weight"].transpose(2, 3, 1, 0)
    for channels in (7, 6):
        converted = convert(given, shapes(model, channels), **ends(model), repeat_channels=True)
        first = converted["params"]["conv1"]["kernel"]
        assert first.shape == (7, 7, channels, 64)
        np.testing.assert_allclose(first[:, :, 4], kernel[:, :, 1] * 3 / channels, rtol=1e-6)
    np.testing.assert_allclose(first.sum(2), kernel.sum(2), atol=1e-5)  # 6 equal channels as 3


def test_weights_of_another_model_are_refused():
    given = state_dict(deep_resnet(18))
    for model in (deep_resnet(34), deep_resnet(18, norm="group")):
        with pytest.raises(ValueError, match="another model or another normalisation"):
            convert(given, shapes(model), **ends(model))
    del given["layer1.0.bn1.running_mean"]
    with pytest.raises(ValueError, match=r"1 missing .*layer1_0/bn1/BatchNorm_0/mean"):
        convert(given, shapes(deep_resnet(18)), stem="conv1", head="fc")


def test_an_array_that_is_not_finite():
    given = state_dict(deep_resnet(18))
    given["layer1.0.conv1.weight"][0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"layer1.0.conv1.weight: contains NaN"):
        convert(given, shapes(deep_resnet(18)), stem="conv1", head="fc")


def test_models_without_public_weights(tmp_path):
    images = jnp.zeros((1, 4, 4, 3))
    with pytest.raises(ValueError, match="MLP has no public weights"):
        pretrained(mlp(3), images, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="head='other'"):
        pretrained(deep_resnet(), images, tmp_path / "w.safetensors", head="other")
