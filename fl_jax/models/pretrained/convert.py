"""Converts a PyTorch state dict to Flax variables; every array must match exactly one leaf.

conv:   kernel[h, w, i, o] = weight[o, i, h, w]        dense:  kernel[i, o] = weight[o, i]
norm:   scale = weight,  bias = bias;  batch_stats:  mean = running_mean,  var = running_var

Names map one to one: `layer1.0.downsample.1.weight` is `layer1_0/downsample_1/.../scale`.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "layer_scale": "layer_scale",
}
_COUNTER = "num_batches_tracked"
"""PyTorch's step counter of batch normalisation, unused with a fixed momentum."""


def convert(
    state_dict: Mapping[str, np.ndarray],
    variables: Any,
    *,
    stem: str,
    head: str,
    new_head: bool = False,
    repeat_channels: bool = False,
) -> dict[str, Any]:
    """Converts a state dict with torchvision's names to Flax variables.

    Args:
        state_dict: arrays by name, see `state_dict.read`.
        variables: shapes and dtypes of `{'params': ..., 'batch_stats': ...}`, from
            `jax.eval_shape(model.init, ...)`.
        stem: name of the first convolution, `model.stem`.
        head: name of the last layer, `model.head`.
        new_head: omit the last layer, which the caller initialises for its labels. Otherwise the number of
            labels must match.
        repeat_channels: adapt the first convolution from the file's k to C input channels: channel c gets the
            weights of channel c mod k, times k / C. If k divides C, equal inputs give the original output.
            Otherwise the number of channels must match.

    Returns:
        Variables like `variables`, float32, without the head if `new_head`.

    Raises:
        ValueError: an array is missing, unused, of the wrong shape or not finite; names it.
    """
    arrays = {_name(name): (name, value) for name, value in state_dict.items()}
    if len(arrays) < len(state_dict):
        raise ValueError(f"the state dict has {len(state_dict) - len(arrays)} duplicate names")
    converted: dict[tuple[str, ...], jax.Array] = {}
    expected: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(variables)
    used, missing = set(), []
    for path, leaf in expected.items():
        name = _flax_name(path)
        used.add(name)
        if new_head and path[1] == head:
            continue
        if name not in arrays:
            missing.append("/".join(path))
            continue
        theirs, value = arrays[name]
        value = _layout(value, leaf.ndim, path[-1])
        if repeat_channels and path[1:] == (stem, "kernel") and value.ndim == 4 and value.size:
            value = _repeat(value, leaf.shape[2])
        if value.shape != leaf.shape:
            raise ValueError(_remedy(theirs, value.shape, "/".join(path), leaf.shape))
        value = _float32(value)
        if not np.isfinite(value).all():
            raise ValueError(f"{theirs}: contains NaN or infinity; the file is damaged")
        converted[path] = jnp.asarray(value)
    unused = [
        theirs
        for name, (theirs, _) in arrays.items()
        if name not in used and not theirs.endswith(_COUNTER)
    ]
    if missing or unused:
        raise ValueError(
            f"the weights belong to another model or another normalisation: "
            f"{len(missing)} missing ({_some(missing)}), {len(unused)} unused ({_some(unused)})"
        )
    return traverse_util.unflatten_dict(converted)


def _name(name: str) -> str:
    """Maps `features.denseblock1.denselayer1.norm.1.weight` to `denseblock1/denselayer1/norm1/weight`."""
    name = re.sub(r"^features\.(?!\d)", "", name)
    name = re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name)  # before torchvision 0.3
    return re.sub(r"\.(?=\d)", "_", name).replace(".", "/")


def _flax_name(path: tuple[str, ...]) -> str:
    """The path of a leaf without its collection and without the submodule of `Norm`."""
    layers = [part for part in path[1:-1] if not re.fullmatch(r"(Batch|Group|Layer)Norm_0", part)]
    return "/".join([*layers, _LEAVES.get(path[-1], path[-1])])


def _layout(value: np.ndarray, ndim: int, leaf: str) -> np.ndarray:
    if leaf == "layer_scale":
        return value.reshape(-1)
    if leaf != "kernel":
        return value
    if value.ndim == 2:  # a dense layer, perhaps a 1x1 convolution in Flax
        return value.T if ndim == 2 else value.T[None, None]
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def _repeat(value: np.ndarray, channels: int) -> np.ndarray:
    theirs = value.shape[2]
    return _float32(value)[:, :, np.arange(channels) % theirs] * (theirs / channels)


def _float32(value: np.ndarray) -> np.ndarray:
    """Overflow becomes infinity, which is refused later."""
    with np.errstate(over="ignore"):
        return np.asarray(value, np.float32)


def _remedy(theirs: str, actual: tuple[int, ...], ours: str, expected: tuple[int, ...]) -> str:
    return (
        f"{theirs} is {actual}, but the model's {ours} is {expected}: use a new head for other labels, "
        "repeat channels for other inputs; otherwise the weights belong to another model"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
