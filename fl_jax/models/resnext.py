"""ResNeXt: a ResNet whose 3x3 convolutions run in groups.

`resnext(101, 32, 8)` is the model of the study that this project repeats, ResNeXt-101 32x8d.

Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017.
"""

from fl_jax.core.types import LABELS
from fl_jax.models.deep_resnet import DeepResNet, make


def resnext(
    depth: int = 50,
    groups: int = 32,
    group_width: int = 4,
    *,
    labels: int = len(LABELS),
    norm: str = "batch",
    dtype: str = "float32",
) -> DeepResNet:
    """Makes a ResNeXt; the default is ResNeXt-50 32x4d.

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
        depth, groups=groups, group_width=group_width, labels=labels, norm=norm, dtype=dtype
    )


def checked_groups(depth: int, groups: int, group_width: int) -> None:
    """Refuses what is no ResNeXt.

    Raises:
        ValueError: for a depth without bottlenecks, or sizes below 1.
    """
    if depth not in (50, 101):
        raise ValueError(f"depth={depth}: must be 50 or 101")
    if groups < 1 or group_width < 1:
        raise ValueError(f"groups={groups}, group_width={group_width}: must be at least 1")
