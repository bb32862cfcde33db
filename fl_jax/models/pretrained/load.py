"""Loads pretrained weights for a model, optionally adapted to other labels and channels.

torchvision's weights expect images standardised with ImageNet's mean and standard deviation per channel. The
caller's `prepare` decides whether to do so.
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
        model: with attributes `stem` and `head`, the names of its first convolution and last layer.
        images: [B, H, W, C]; only shape and dtype matter.
        path: see `state_dict.read`.
        digest: see `state_dict.read`.
        head: `'keep'` reads the last layer, whose number of labels must match; `'new'` omits it.
        channels: `'same'` requires the file's number of input channels; `'repeat'` cycles through them, see
            `convert.convert`.

    Returns:
        `{'params': ..., 'batch_stats': ...}`, the latter if the model has running statistics.

    Raises:
        ValueError: an unknown choice, a model without those attributes, or weights that do not fit; see
            also `state_dict.read`.
    """
    if head not in HEADS or channels not in CHANNELS:
        raise ValueError(
            f"head={head!r}, channels={channels!r}: must be one of {HEADS} and one of {CHANNELS}"
        )
    first, last = getattr(model, "stem", None), getattr(model, "head", None)
    if not isinstance(first, str) or not isinstance(last, str):
        raise ValueError(
            f"{type(model).__name__} has no public weights; use deep_resnet, resnext, se_resnext, "
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
