from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import weight_files

from configs import ich_fed_avg
from fl_jax.data.metadata import Options
from fl_jax.data.slices import Identity
from fl_jax.experiment import features, federation, predict
from fl_jax.experiment import model as models
from fl_jax.experiment.config import Config
from fl_jax.models.deep_resnet import deep_resnet

IDENTITY = Identity("1", Options(layout="sites", image_size=8, repairs=[], spacing_mm=0.0))


@pytest.fixture
def config(tmp_path):
    """ResNet-18 with weights from a file, whose head alone is trained."""
    config = Config.parse(ich_fed_avg.get_config())
    arrays = weight_files.state_dict(deep_resnet(18, labels=1000))
    path = tmp_path / "weights.safetensors"
    config = config.replace(pretrained_digest=weight_files.write(path, arrays))
    config = config.replace(pretrained=str(path))
    config = config.replace(model="deep_resnet(18)", trainable="^fc/")
    config = config.replace(max_degrees=0.0, flip=False)
    return config


def test_a_new_head_is_trained_alone_or_all_of_the_model(config):
    params = models.network(config, (8, 8)).task.init(jax.random.key(0))
    assert jax.tree.map(np.shape, params) == {"fc": {"kernel": (512, 6), "bias": (6,)}}
    config = config.replace(trainable="", layer_rates=(("^fc/", 10.0), ("", 0.1)))
    network = models.network(config, (8, 8))
    _, _, state = federation.start(config, "central", network.task, sites=1, key=jax.random.key(0))
    jax.tree.map(
        np.testing.assert_array_equal,
        {**network.weights["params"], "fc": state.server.params["fc"]},
        state.server.params,
    )


@pytest.mark.parametrize("rule", ["aggregate", "local", "naive"])
def test_statistics_begin_with_the_files_and_follow_their_rule(config, rule):
    config = config.replace(trainable="", statistics=rule)
    network = models.network(config, (8, 8))
    key = jax.random.key(0)
    algorithm, _, state = federation.start(config, "federated", network.task, sites=2, key=key)
    jax.tree.map(
        np.testing.assert_array_equal,
        state.server.params["batch_stats"],
        network.weights["batch_stats"],
    )
    assert (algorithm.personal is not None) == (rule == "local")
    central, _, _ = federation.start(config, "central", network.task, sites=1, key=key)
    assert central.personal is None
    config = config.replace(trainable="^fc/")
    with pytest.raises(ValueError, match="statistics of frozen layers do not change"):
        models.network(config, (8, 8))


def test_fields_that_do_not_go_together(config):
    config = config.replace(pretrained_digest="0" * 8)
    with pytest.raises(ValueError, match="damaged or a different one"):
        models.network(config, (8, 8))
    config = config.replace(pretrained="")
    with pytest.raises(
        ValueError, match=r"trainable='\^fc/': the other parameters would stay random"
    ):
        models.network(config, (8, 8))


def test_what_a_head_on_features_has_no_use_for(config, slices, tmp_path):
    for name, value in (("test_flip", True), ("accumulate", 2), ("remat", True)):
        wrong = config.replace(**{name: value})
        network = models.network(wrong, slices.input_shape)
        with pytest.raises(ValueError, match=f"cached_features=True with {name}="):
            models.on_features(wrong, network, slices, IDENTITY, tmp_path)


def test_the_head_on_features_is_the_head_on_images(config, slices, tmp_path, monkeypatch):
    network = models.network(config, slices.input_shape, np.arange(1.0, 7.0))
    task, dataset = models.on_features(
        config, network, slices, models.facts(config, IDENTITY), tmp_path
    )
    assert dataset.input_shape == (512,)
    params = task.init(jax.random.key(0))
    rows = np.array([3, 0, 40])
    on_images = predict.score(network.task.logits, params, slices, rows)
    np.testing.assert_allclose(
        predict.score(task.logits, params, dataset, rows), on_images, rtol=1e-3, atol=1e-3
    )
    monkeypatch.setattr(features, "extract", lambda *_: pytest.fail("computed again"))
    _, again = models.on_features(config, network, slices, models.facts(config, IDENTITY), tmp_path)
    np.testing.assert_array_equal(again.hu(rows), dataset.hu(rows))
    config = config.replace(windows=("brain", "brain", "brain"))
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        models.on_features(config, network, slices, models.facts(config, IDENTITY), tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flip", True, "features are of unaugmented slices"),
        ("max_degrees", 5.0, "features are of unaugmented slices"),
        ("trainable", "", "give pretrained weights or a backbone"),
        ("trainable", "^(fc|layer4_1)/", "must train that layer alone"),
    ],
)
def test_where_features_do_not_stand_for_images(
    config, slices, tmp_path, monkeypatch, field, value, message
):
    config = config.replace(**{field: value})
    network = models.network(config, slices.input_shape)
    monkeypatch.setattr(features, "extract", lambda *_: np.zeros((len(slices), 512), np.float32))
    with pytest.raises(ValueError, match=message):
        models.on_features(config, network, slices, models.facts(config, IDENTITY), tmp_path)


def test_cached_features_are_computed_once_and_a_damaged_file_is_refused(
    slices, tmp_path, monkeypatch
):
    table, calls = np.random.default_rng(0).normal(size=(len(slices), 4)).astype(np.float32), []
    monkeypatch.setattr(features, "extract", lambda *_: calls.append(1) or table)
    network: Any = SimpleNamespace(model=None, prepare=None)

    def cached():
        return models.cached(network, {}, slices, ["of", "these"], tmp_path)

    np.testing.assert_array_equal(cached(), table)
    np.testing.assert_array_equal(cached(), table)
    assert len(calls) == 1
    (path,) = tmp_path.glob("*.npz")
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=rf"{path}: is no readable"):
        cached()
    for other in (table[1:], table.astype(float), table[0, 0]):
        np.savez(path, features=other)
        with pytest.raises(ValueError, match=rf"{path}: has .* for {len(slices)} slices; delete"):
            cached()
