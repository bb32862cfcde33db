"""From a PyTorch state dict to Flax variables, leaf by leaf and with nothing left over.

conv:   kernel[h, w, i, o] = weight[o, i, h, w]        dense:  kernel[i, o] = weight[o, i]
norm:   scale = weight,  bias = bias;  batch_stats:  mean = running_mean,  var = running_var

A name is that of the Flax layers: `layer1.0.downsample.1.weight` is `layer1_0/downsample_1/.../scale`.
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
_NOT_OURS = "num_batches_tracked"
"""A counter that PyTorch keeps beside running statistics, and reads only where these have no momentum."""


def convert(
    state_dict: Mapping[str, np.ndarray],
    variables: Any,
    *,
    stem: str,
    head: str,
    new_head: bool = False,
    repeat_channels: bool = False,
) -> dict[str, Any]:
    """Makes Flax variables of a state dict in torchvision's naming.

    Args:
        state_dict: arrays by name, see `state_dict.read`.
        variables: what the model has, `{'params': ..., 'batch_stats': ...}`, only shapes matter; from
            `jax.eval_shape(model.init, ...)`.
        stem: the name of the first convolution, `model.stem`.
        head: the name of the last layer, `model.head`.
        new_head: leaves the last layer out: the caller's own takes its place, with other labels. Without it
            the labels must be those of the file.
        repeat_channels: where the images have C channels and the file's k, channel c of the first kernel is
            k / C times the file's channel c mod k; where k divides C, equal channels give what k did.
            Without it they must be as many.

    Returns:
        Variables like `variables`, float32, without the head where it is new.

    Raises:
        ValueError: when an array is missing, left over, of another shape, or not finite; names it.
    """
    given = {_name(name): (name, value) for name, value in state_dict.items()}
    if len(given) < len(state_dict):
        raise ValueError(f"the state dict has {len(state_dict) - len(given)} names twice")
    found: dict[tuple[str, ...], jax.Array] = {}
    wanted: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(variables)
    used, missing = set(), []
    for path, leaf in wanted.items():
        name = _flax_name(path)
        used.add(name)
        if new_head and path[1] == head:
            continue
        if name not in given:
            missing.append("/".join(path))
            continue
        theirs, value = given[name]
        with np.errstate(over="ignore"):  # it becomes infinity, which is refused below
            value = _layout(np.asarray(value, np.float32), leaf.ndim, path[-1])
        if repeat_channels and path[1:] == (stem, "kernel") and value.ndim == 4 and value.size:
            value = _repeat(value, leaf.shape[2])
        if value.shape != leaf.shape:
            raise ValueError(_remedy(theirs, value.shape, "/".join(path), leaf.shape))
        if not np.isfinite(value).all():
            raise ValueError(f"{theirs}: holds NaN or infinity; the file is damaged")
        found[path] = jnp.asarray(value)
    left = [
        theirs
        for name, (theirs, _) in given.items()
        if name not in used and not theirs.endswith(_NOT_OURS)
    ]
    if missing or left:
        raise ValueError(
            f"the weights are of another model, or of another normalisation: "
            f"{len(missing)} missing ({_some(missing)}), {len(left)} left over ({_some(left)})"
        )
    return traverse_util.unflatten_dict(found)


def _name(name: str) -> str:
    """`features.denseblock1.denselayer1.norm.1.weight` to `denseblock1/denselayer1/norm1/weight`."""
    name = re.sub(r"^features\.(?!\d)", "", name)
    name = re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name)  # before torchvision 0.3
    return re.sub(r"\.(?=\d)", "_", name).replace(".", "/")


def _flax_name(path: tuple[str, ...]) -> str:
    """Without the collection and the child that holds a `Norm`'s parameters."""
    layers = [part for part in path[1:-1] if not re.fullmatch(r"(Batch|Group|Layer)Norm_0", part)]
    return "/".join([*layers, _LEAVES.get(path[-1], path[-1])])


def _layout(value: np.ndarray, ndim: int, leaf: str) -> np.ndarray:
    if leaf == "layer_scale":
        return value.reshape(-1)
    if leaf != "kernel":
        return value
    if value.ndim == 2:  # a dense layer, or one that Flax has as a convolution of one pixel
        return value.T if ndim == 2 else value.T[None, None]
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def _repeat(value: np.ndarray, channels: int) -> np.ndarray:
    theirs = value.shape[2]
    return value[:, :, np.arange(channels) % theirs] * (theirs / channels)


def _remedy(theirs: str, given: tuple[int, ...], ours: str, wanted: tuple[int, ...]) -> str:
    return (
        f"{theirs} is {given}, and the model's {ours} is {wanted}: for other labels ask for a new head, for "
        "other channels to repeat them; otherwise the weights are of another model"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
