"""SE-ResNeXt: a ResNeXt with squeeze-and-excitation gates, used by winners of the RSNA 2019 challenge.

y = x sigmoid(W2 relu(W1 mean(x) + b1) + b2),   mean over the pixels of each channel

Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
"""

from fl_jax.core.types import LABELS
from fl_jax.models.deep_resnet import DeepResNet, make
from fl_jax.models.resnext import checked_groups

_REDUCTION = 16


def se_resnext(
    depth: int = 50,
    groups: int = 32,
    group_width: int = 4,
    *,
    labels: int = len(LABELS),
    norm: str = "batch",
    dtype: str = "float32",
) -> DeepResNet:
    """Builds an SE-ResNeXt; the default is SE-ResNeXt-50 32x4d. Gates reduce the channels by 16.

    Args:
        depth: 50 or 101.
        groups: groups of each 3x3 convolution, at least 1.
        group_width: channels per group in the first stage, at least 1.
        labels: L.
        norm: see `deep_resnet`.
        dtype: see `deep_resnet`.

    Raises:
        ValueError: an argument is out of range.
    """
    checked_groups(depth, groups, group_width)
    return make(
        depth,
        groups=groups,
        group_width=group_width,
        reduction=_REDUCTION,
        labels=labels,
        norm=norm,
        dtype=dtype,
    )
