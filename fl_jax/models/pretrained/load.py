"""Variables of a model from a file of pretrained weights, adapted to other labels and channels where asked.

The public files of torchvision were trained on images with ImageNet's mean taken off and divided by its
standard deviation, channel by channel; the caller's `prepare` decides whether that is done here.
"""

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax

from fl_jax.core.types import Array
from fl_jax.models.pretrained import convert, state_dict

HEADS = ("keep", "new")
CHANNELS = ("same", "repeat")


def pretrained(
    model: nn.Module,
    images: Array | jax.ShapeDtypeStruct,
    path: Path,
    *,
    digest: str = "",
    head: str = "keep",
    channels: str = "same",
) -> dict[str, Any]:
    """Reads weights for a model.

    Args:
        model: with the names of its first convolution and last layer as `stem` and `head`.
        images: what the model reads, [B, H, W, C]; only shape and dtype matter.
        path: see `state_dict.read`.
        digest: see `state_dict.read`.
        head: `'keep'`: the file's last layer, whose labels must be the model's; `'new'`: none is read, the
            model's own is trained from its initial values.
        channels: `'same'`: as many as in the file; `'repeat'`: the file's in turn, see `convert.convert`.

    Returns:
        `{'params': ..., 'batch_stats': ...}`, the latter where the model has running statistics.

    Raises:
        ValueError: for an unknown choice, a model without those names, or weights that do not fit; see
            also `state_dict.read`.
    """
    if head not in HEADS or channels not in CHANNELS:
        raise ValueError(
            f"head={head!r}, channels={channels!r}: must be one of {HEADS} and one of {CHANNELS}"
        )
    first, last = getattr(model, "stem", None), getattr(model, "head", None)
    if not isinstance(first, str) or not isinstance(last, str):
        raise ValueError(
            f"{type(model).__name__} has no public weights; take deep_resnet, resnext, se_resnext, "
            "densenet or convnext"
        )
    return convert.convert(
        state_dict.read(path, digest),
        jax.eval_shape(model.init, jax.random.key(0), images),
        stem=first,
        head=last,
        new_head=head == "new",
        repeat_channels=channels == "repeat",
    )
