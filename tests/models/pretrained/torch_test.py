"""The models against independent ones in PyTorch, through files of weights: logits to 1e-4 in float32."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch, to compare models: pip install torch")
import torch_models as theirs  # noqa: E402

from fl_jax.models.convnext import ConvNeXt  # noqa: E402
from fl_jax.models.deep_resnet import DeepResNet, deep_resnet  # noqa: E402
from fl_jax.models.densenet import DenseNet  # noqa: E402
from fl_jax.models.pretrained import state_dict  # noqa: E402
from fl_jax.models.pretrained.convert import convert  # noqa: E402
from fl_jax.models.pretrained.load import pretrained  # noqa: E402

F32 = jnp.float32
SHORT = (1, 2, 1, 1)
PAIRS = {
    "resnet-18": (
        deep_resnet(18, labels=7),
        lambda: theirs.ResNet((2, 2, 2, 2), False, 1, 64, False, 7),
    ),
    "resnext 32x4d": (
        DeepResNet(SHORT, True, 32, 4, 0, 7, "batch", F32),
        lambda: theirs.ResNet(SHORT, True, 32, 4, False, 7),
    ),
    "se-resnext 32x4d": (
        DeepResNet(SHORT, True, 32, 4, 16, 7, "batch", F32),
        lambda: theirs.ResNet(SHORT, True, 32, 4, True, 7),
    ),
    "densenet": (DenseNet((2, 1, 2, 1), 7, "batch", F32), lambda: theirs.DenseNet((2, 1, 2, 1), 7)),
    "convnext": (
        ConvNeXt((1, 1, 2, 1), (16, 32, 48, 64), 7, F32),
        lambda: theirs.ConvNeXt((1, 1, 2, 1), (16, 32, 48, 64), 7),
    ),
}


def save(model, folder):
    path = folder / "weights.pth"
    torch.save(model.state_dict(), path)
    path = path.rename(folder / f"w-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    return path


def run(model, images):
    with torch.no_grad():
        return model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()


@pytest.mark.parametrize("name", PAIRS)
def test_logits_are_those_of_pytorch(name, tmp_path):
    ours, make = PAIRS[name]
    other = theirs.randomised(make(), seed=1)
    images = np.random.default_rng(2).normal(size=(2, 50, 64, 3)).astype(np.float32)
    wanted = run(other, images)
    variables = pretrained(ours, images, save(other, tmp_path))
    outputs = jax.jit(ours.apply)(variables, images)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(outputs, wanted, rtol=1e-4, atol=1e-4)


def test_moments_of_a_batch_are_those_of_pytorch():
    ours, other = (
        DeepResNet((1,), False, 1, 64, 0, 3, "batch", F32),
        theirs.randomised(theirs.ResNet((1, 0, 0, 0), False, 1, 64, False, 3), seed=1),
    )
    images = np.random.default_rng(2).normal(size=(4, 32, 32, 3)).astype(np.float32)
    numbers = {k: v.numpy().copy() for k, v in other.state_dict().items()}
    shapes = jax.eval_shape(ours.init, jax.random.key(0), images)
    variables = convert(numbers, shapes, stem="conv1", head="fc")
    outputs, changed = ours.apply(variables, images, mask=np.ones(4), mutable=["batch_stats"])
    wanted = run(other.train(), images)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-4, atol=1e-4)
    kept = changed["batch_stats"]["bn1"]["BatchNorm_0"]
    np.testing.assert_allclose(kept["mean"], other.bn1.running_mean, rtol=1e-4, atol=1e-5)
    # PyTorch keeps the variance with n - 1 in its denominator, Flax with n.
    n = 4 * 16 * 16
    before = numbers["bn1.running_var"]
    moved = (kept["var"] - 0.9 * before) * n / (n - 1) + 0.9 * before
    np.testing.assert_allclose(moved, other.bn1.running_var, rtol=1e-4)


def test_nothing_in_a_file_is_executed(tmp_path):
    witness = tmp_path / "executed"

    class Bad:
        def __reduce__(self):
            return (witness.touch, ())

    path = tmp_path / "bad.pth"
    torch.save({"w": Bad()}, path)
    with pytest.raises(ValueError, match="contains more than tensors"):
        state_dict.read(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert not witness.exists()


def test_a_parameter_that_learns_is_read_and_a_sparse_one_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"w": torch.nn.Parameter(torch.ones(2))}, path)
    arrays = state_dict.read(path, hashlib.sha256(path.read_bytes()).hexdigest())
    np.testing.assert_array_equal(arrays["w"], np.ones(2))
    torch.save({"w": torch.eye(2).to_sparse()}, path)
    with pytest.raises(ValueError, match="not a plain array"):
        state_dict.read(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("content", [{"epoch": 3}, [1.0]])
def test_a_file_without_a_state_dict(content, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match="not a state dict"):
        state_dict.read(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_half_precision_is_read(tmp_path):
    value = torch.arange(6.0).reshape(2, 3)
    path = tmp_path / "half.pth"
    torch.save({"a": value.bfloat16(), "b": value.half()}, path)
    arrays = state_dict.read(path, hashlib.sha256(path.read_bytes()).hexdigest())
    for name in "ab":
        np.testing.assert_array_equal(arrays[name], value.numpy())
