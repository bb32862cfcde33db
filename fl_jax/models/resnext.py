"""ResNeXt: a ResNet with grouped 3x3 convolutions.

`resnext(101, 32, 8)` is ResNeXt-101 32x8d, the model of the published study.

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
    """Builds a ResNeXt; the default is ResNeXt-50 32x4d.

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
        depth, groups=groups, group_width=group_width, labels=labels, norm=norm, dtype=dtype
    )


def checked_groups(depth: int, groups: int, group_width: int) -> None:
    """Checks depth and group sizes.

    Raises:
        ValueError: the depth has no bottleneck blocks, or a size is below 1.
    """
    if depth not in (50, 101):
        raise ValueError(f"depth={depth}: must be 50 or 101")
    if groups < 1 or group_width < 1:
        raise ValueError(f"groups={groups}, group_width={group_width}: must be at least 1")
