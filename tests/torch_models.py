"""The models in PyTorch, transcribed from the papers with torchvision's names, for parity tests.

The project does not depend on PyTorch; importers check first that it is installed.
"""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]


def conv(inputs, outputs, size, stride=1, groups=1):
    """A convolution without bias, padded to keep the size at stride 1."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // 16, 1)
        self.fc2 = nn.Conv2d(width // 16, width, 1)

    def forward(self, x):
        """Maps a batch."""
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """A residual block, see `fl_jax.models.deep_resnet.Block`."""

    def __init__(self, inputs, width, stride, bottleneck, groups, group_width, gate):
        super().__init__()
        if bottleneck:
            inner, outer = int(width * group_width / 64) * groups, 4 * width
            self.conv1, self.bn1 = conv(inputs, inner, 1), nn.BatchNorm2d(inner)
            self.conv2 = conv(inner, inner, 3, stride, groups)
            self.bn2 = nn.BatchNorm2d(inner)
            self.conv3, self.bn3 = conv(inner, outer, 1), nn.BatchNorm2d(outer)
        else:
            outer = width
            self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.bottleneck = bottleneck
        if gate:
            self.se = Gate(outer)
        self.downsample = None
        if stride != 1 or inputs != outer:
            self.downsample = nn.Sequential(conv(inputs, outer, 1, stride), nn.BatchNorm2d(outer))

    def forward(self, x):
        """Maps a batch."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        if hasattr(self, "se"):
            y = self.se(y)
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """ResNet, ResNeXt and SE-ResNeXt."""

    def __init__(self, blocks, bottleneck, groups, group_width, gate, labels, channels=3):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, 64, 7, 2), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, count in enumerate(blocks):
            width, layers = 64 * 2**stage, []
            for block in range(count):
                stride = 2 if stage and not block else 1
                layers.append(Block(inputs, width, stride, bottleneck, groups, group_width, gate))
                inputs = 4 * width if bottleneck else width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, labels)

    def forward(self, x):
        """Maps a batch."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    """Appends 32 channels."""

    def __init__(self, inputs):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 128, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), conv(128, 32, 3)

    def forward(self, x):
        """Maps a batch."""
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    """DenseNet."""

    def __init__(self, blocks, labels):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", conv(3, 64, 7, 2))
        self.features.add_module("norm0", nn.BatchNorm2d(64))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        width = 64
        for number, count in enumerate(blocks, 1):
            block = nn.Sequential()
            for layer in range(1, count + 1):
                block.add_module(f"denselayer{layer}", DenseLayer(width))
                width += 32
            self.features.add_module(f"denseblock{number}", block)
            if number < len(blocks):
                transition = nn.Sequential()
                transition.add_module("norm", nn.BatchNorm2d(width))
                transition.add_module("relu", nn.ReLU())
                transition.add_module("conv", conv(width, width // 2, 1))
                transition.add_module("pool", nn.AvgPool2d(2, 2))
                self.features.add_module(f"transition{number}", transition)
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, labels)

    def forward(self, x):
        """Maps a batch."""
        return self.classifier(torch.relu(self.features(x)).mean((2, 3)))


class ChannelsFirst(nn.LayerNorm):
    """Layer normalisation over the channels of NCHW."""

    def forward(self, x):
        """Maps a batch."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    """Permutes axes."""

    def __init__(self, *order):
        super().__init__()
        self.order = order

    def forward(self, x):
        """Maps a batch."""
        return x.permute(self.order)


class ConvNeXtBlock(nn.Module):
    """A residual block, see `fl_jax.models.convnext.Block`."""

    def __init__(self, width):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(width, 1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 1e-6))

    def forward(self, x):
        """Maps a batch."""
        return x + self.layer_scale * self.block(x)


class ConvNeXt(nn.Module):
    """ConvNeXt."""

    def __init__(self, depths, widths, labels):
        super().__init__()
        stages = [nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelsFirst(widths[0], 1e-6))]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if stage:
                before = widths[stage - 1]
                stages.append(
                    nn.Sequential(ChannelsFirst(before, 1e-6), nn.Conv2d(before, width, 2, 2))
                )
            stages.append(nn.Sequential(*[ConvNeXtBlock(width) for _ in range(depth)]))
        self.features = nn.Sequential(*stages)
        self.classifier = nn.Sequential(
            ChannelsFirst(widths[-1], 1e-6), nn.Flatten(1), nn.Linear(widths[-1], labels)
        )

    def forward(self, x):
        """Maps a batch."""
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


class SmallBlock(nn.Module):
    """A residual block with group normalisation, see `fl_jax.models.resnet.Block`."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.norm1 = conv(inputs, width, 3, stride), nn.GroupNorm(8, width, 1e-6)
        self.conv2, self.norm2 = conv(width, width, 3), nn.GroupNorm(8, width, 1e-6)
        self.shortcut = nn.Identity()
        if inputs != width or stride != 1:
            norm = nn.GroupNorm(8, width, 1e-6)
            self.shortcut = nn.Sequential(conv(inputs, width, 1, stride), norm)

    def forward(self, x):
        """Maps a batch."""
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class SmallResNet(nn.Module):
    """The default of `fl_jax.models.resnet.resnet`."""

    def __init__(self, labels, channels=3, patch=4, bins=5):
        super().__init__()
        self.patch, self.bins = patch, bins
        self.stem, self.norm = conv(bins * channels, 32, 3), nn.GroupNorm(8, 32, 1e-6)
        self.blocks = nn.Sequential(SmallBlock(32, 32, 2), SmallBlock(32, 64, 1))
        self.fc = nn.Linear(64, labels)

    def forward(self, x):
        """Maps a batch of images in [0, 1]."""
        grey = x * (self.bins - 1)
        bins = [torch.relu(1 - (grey - k).abs()) for k in range(self.bins)]
        x = torch.cat([nn.functional.avg_pool2d(f, self.patch) for f in bins], 1)
        return self.fc(self.blocks(torch.relu(self.norm(self.stem(x)))).amax((2, 3)))


def randomised(model, seed):
    """Randomises parameters and batch statistics and switches to evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            elif value.ndim == 1:
                offset = 1.0 if name.endswith("weight") else 0.0
                value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))
            elif name.endswith("layer_scale"):
                value.copy_(torch.randn(value.shape, generator=generator))
            elif value.ndim:
                fan_in = value[0].numel()
                value.copy_(torch.randn(value.shape, generator=generator) * fan_in**-0.5)
    return model.eval()
