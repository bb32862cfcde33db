"""SE-ResNeXt: a ResNeXt whose blocks weigh their channels, of the challenge's winners.

y = x sigmoid(W2 relu(W1 mean over places of x + b1) + b2)

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
    """Makes an SE-ResNeXt; the default is SE-ResNeXt-50 32x4d. A gate has a sixteenth of the channels.

    Args:
        depth: 50 or 101.
        groups: of a 3x3 convolution, at least 1.
        group_width: channels of a group in the first stage, at least 1.
        labels: see `deep_resnet`.
        norm: see `deep_resnet`.
        dtype: see `deep_resnet`.

    Raises:
        ValueError: for an argument out of range.
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
