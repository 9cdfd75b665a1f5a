"""Writes weights of narrow PyTorch networks, with pictures and their logits, for test_others_weights.py.

    python tests/end_to_end/foreign/make_torch_weights.py

needs PyTorch 2.13 (`pip install torch==2.13.0 safetensors`), which the tests do without: they read the files written
here. Modules and attributes are called as in torchvision's and timm's ResNets (`resnet18`, `resnet50`) and as in
pytorch_resnet_cifar10 (`resnet20`); shapes differ in their number of filters alone.
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect them


def convolution(channels: int, filters: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, size, stride, padding=size // 2, bias=False)


class Basic(nn.Module):
    """torchvision's BasicBlock; `beside` is `downsample` there and `shortcut` in networks for CIFAR."""

    growth = 1

    def __init__(self, channels: int, filters: int, stride: int, beside: str, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(channels, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = convolution(filters, filters, 3), nn.BatchNorm2d(filters)
        self.beside = beside
        setattr(self, beside, shortcut)

    def body(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = getattr(self, self.beside)
        return torch.relu(self.body(x) + (x if shortcut is None else shortcut(x)))


class Bottleneck(Basic):
    """torchvision's, whose stride is that of the 3×3 convolution."""

    growth = 4

    def __init__(self, channels: int, filters: int, stride: int, beside: str, shortcut: nn.Module | None) -> None:
        super().__init__(channels, filters, stride, beside, shortcut)
        self.conv1 = convolution(channels, filters, 1)
        self.conv2 = convolution(filters, filters, 3, stride)
        self.conv3, self.bn3 = convolution(filters, 4 * filters, 1), nn.BatchNorm2d(4 * filters)

    def body(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(x)))))


class Subsampled(nn.Module):
    """Shortcut A of pytorch_resnet_cifar10."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.filters = filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.filters // 4, self.filters // 4))


def projection(channels: int, filters: int, stride: int) -> nn.Module:
    return nn.Sequential(convolution(channels, filters, 1, stride), nn.BatchNorm2d(filters))


class Network(nn.Module):
    """Groups of blocks between a first convolution and a linear layer.

    Args:
        filters: of each group.
        counts: of blocks in each group.
        block: their class.
        is_large: has the first layers for ImageNet, and torchvision's names.
        shortcut: A or B.
    """

    def __init__(
        self, filters: tuple[int, ...], counts: tuple[int, ...], classes: int, block: type[Basic] = Basic,
        *, is_large: bool = True, shortcut: str = "B",
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv1 = convolution(3, filters[0], 7, 2) if is_large else convolution(3, filters[0], 3)
        self.bn1 = nn.BatchNorm2d(filters[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1) if is_large else nn.Identity()
        channels, self.groups, self.head = filters[0], len(counts), "fc" if is_large else "linear"
        for group, (width, count) in enumerate(zip(filters, counts, strict=True), start=1):
            blocks = []
            for number in range(count):
                stride, out = 2 if group > 1 and number == 0 else 1, width * block.growth
                beside: nn.Module | None = None
                if stride > 1 or channels != out:
                    beside = projection(channels, out, stride) if shortcut == "B" else Subsampled(out)
                blocks.append(block(channels, width, stride, "downsample" if is_large else "shortcut", beside))
                channels = out
            setattr(self, f"layer{group}", nn.Sequential(*blocks))
        setattr(self, self.head, nn.Linear(channels, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for group in range(1, self.groups + 1):
            x = getattr(self, f"layer{group}")(x)
        return getattr(self, self.head)(x.mean(dim=(2, 3)))


def moved(network: nn.Module, x: torch.Tensor) -> nn.Module:
    """Gives batch norms factors of their own, and statistics that fit the pictures, so that logits depend on these."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(std=0.2)
    with torch.no_grad():
        for _ in range(30):
            network.train()(x)
    return network.eval()


def write(name: str, network: nn.Module, image_shape: tuple[int, int, int], *, is_normalized: bool) -> None:
    """Writes NAME.safetensors, and NAME.npz with pictures and logits."""
    squares = np.random.default_rng(len(name)).integers(0, 256, (4, 5, 5, 3), np.uint8)
    images = squares.repeat(8, axis=1).repeat(8, axis=2)[:, : image_shape[0], : image_shape[1]]
    x = torch.tensor(images).permute(0, 3, 1, 2) / 255
    weights = {}
    if is_normalized:
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        x = (x - mean[:, None, None]) / std[:, None, None]
        weights = {"pixels.mean": 255 * mean, "pixels.std": 255 * std}  # tfcore's paths, on the scale of 0 to 255
    with torch.no_grad():
        logits = moved(network, x)(x).numpy()
    save_file(weights | network.state_dict(), FOLDER / f"{name}.safetensors")
    np.savez(FOLDER / f"{name}.npz", images=images, logits=logits)


def main() -> None:
    torch.manual_seed(0)
    write("resnet18", Network((4, 6, 8, 10), (2, 2, 2, 2), 5), (40, 37, 3), is_normalized=True)
    write("resnet50", Network((2, 3, 4, 5), (3, 4, 6, 3), 5, Bottleneck), (40, 37, 3), is_normalized=False)
    for shortcut in ("A", "B"):
        network = Network((4, 8, 16), (3, 3, 3), 10, is_large=False, shortcut=shortcut)
        write(f"resnet20_{shortcut}", network, (32, 32, 3), is_normalized=False)


if __name__ == "__main__":
    main()
